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


def test_the_page_says_who_wrote_what_when_and_keeps_scripts_and_emoji() -> None:
    blank = dict.fromkeys(("author_id", "author_handle", "author_name", "visibility", "author_bio", "author_url", "rating"), "")
    more = dict.fromkeys(("reaction", "target", "location", "order_id", "order_currency", "measure_name", "in_reply_to"), "")
    row: dict[str, object] = {**blank, **more, "order_amount": None, "measure_value": None, "platform": "forum", "kind": "post"}
    row |= {"id": "1", "created_at": "2026-10-02T08:00:00.000Z", "text": ""}
    event = page.ENTRIES["interactions"][1]
    head, *lines = event(
        row | {"author_handle": "ann", "author_name": "Ann B.", "visibility": "private", "text": "a\nb"}
    ).split("\n")
    assert head == "2026-10-02 08:00:00 UTC  forum post 1, by @ann (Ann B.), private"
    assert lines == ["    a", "    b"]
    for text in (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u6771\u4eac\u3000\u9a5b",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001fae8",
    ):
        assert event(row | {"text": text}).endswith(f"\n    {text}")
    steers = event(row | {"text": "\x1b]0;owned\x07 \u202eeve", "id": "2\n3"})
    assert steers.isascii() and steers.count("\n") == 1
    assert "\n    rating: 0" in event(row | {"rating": 0}), "none is something else"
    assert "bio: " not in event(row | {"author_bio": "tea"}) and "bio: tea" in event(
        row | {"author_bio": "tea", "kind": "profile"}
    )


def test_an_account_is_one_line_of_what_can_be_printed() -> None:
    odd = Account(1, "forum", "\x1b]0;owned\x07", ("an\nn",), (2,), ("\u202eeve",))
    lines = list(page.accounts(Person(1, (odd,), (), ("forum:\x9b2J",))))
    assert len(lines) == 4 and all(line.isprintable() for line in lines)
