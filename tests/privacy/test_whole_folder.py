"""A folder appears whole or not at all, also when two runs write it at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import EarshotError
from pipeline.privacy.whole_folder import new_file, whole_folder


def test_of_two_at_once_the_second_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with whole_folder(folder, ["a"], "backup") as part:
        os.close(new_file(part / "a"))
        with (
            pytest.raises(EarshotError, match=r"another backup writes .*kept\.part at this moment"),
            whole_folder(folder, ["a"], "backup"),
        ):
            pass
    assert [file.name for file in folder.iterdir()] == ["a"] and folder.stat().st_mode & 0o777 == 0o700


def test_what_can_be_no_folder_is_one_line(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for folder, why in (
        (link, "is there already"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "no" / "such", "No such file or directory; nothing was backed up"),
        (Path("/"), "is there already"),
    ):
        with pytest.raises(EarshotError, match=why), whole_folder(folder, [], "backup"):
            pass
    assert list(tmp_path.iterdir()) == [link]


def test_what_a_killed_run_left_becomes_its_owner_s_alone(tmp_path: Path) -> None:
    part = tmp_path / "kept.part"
    part.mkdir(mode=0o755)
    (part / "a").write_text("half")
    with whole_folder(tmp_path / "kept", ["a"], "backup") as again:
        assert list(again.iterdir()) == [] and again.stat().st_mode & 0o777 == 0o700
