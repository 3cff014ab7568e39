"""An export takes away what a run of its own has left, and nothing else; what a source names can't steer a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.config.keys import DataKeys
from pipeline.errors import EarshotError
from pipeline.privacy import page
from pipeline.privacy.export import PAGE, export
from pipeline.privacy.opened import Opened
from pipeline.privacy.person import Account, Person
from pipeline.privacy.place import Sets


def of_nothing(folder: Path) -> int:
    opened = Opened(DataKeys(), lambda: iter(()))
    return export(cast(Client, None), Sets("1"), [], ["of a person"], folder, opened, lambda done: None)


def test_what_no_export_has_written_stays(tmp_path: Path) -> None:
    part, notes = tmp_path / "ann.part", tmp_path / "notes"
    notes.mkdir()
    (notes / PAGE).write_text("mine")
    part.symlink_to(notes)
    with pytest.raises(EarshotError, match="is a link"):
        of_nothing(tmp_path / "ann")
    part.unlink()
    part.mkdir()
    (part / "diary.txt").write_text("mine")
    with pytest.raises(EarshotError, match="diary.txt"):
        of_nothing(tmp_path / "ann")
    assert (notes / PAGE).read_text() == (part / "diary.txt").read_text() == "mine"
    (part / "diary.txt").rename(part / "interactions.json")
    assert of_nothing(tmp_path / "ann") == 0
    assert [file.name for file in (tmp_path / "ann").iterdir()] == [PAGE] and not part.exists()


def test_an_account_is_one_line_of_what_can_be_printed() -> None:
    odd = Account(1, "forum", "\x1b]0;owned\x07", ("an\nn",), (2,), ("\u202eeve",))
    lines = list(page.accounts(Person(1, (odd,), (), ("forum:\x9b2J",))))
    assert len(lines) == 4 and all(line.isprintable() for line in lines)
