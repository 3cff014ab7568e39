"""`earshot reset` deletes what Earshot made and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.hash_key import make_hash_key
from pipeline.embedded.reset import reset
from pipeline.embedded.stack import acquire, lock
from pipeline.errors import StackError


def earshots(folder: Path) -> Path:
    """What `earshot up` leaves in a folder."""
    for path, text in {
        "kafka/server.properties": "",
        "kafka/data/meta.properties": "",
        "clickhouse/engine.xml": "",
        "clickhouse/store/x/data.bin": "rows",
        "logs/worker.log": "",
        "logs/worker.1.log": "",
        "lock": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    make_hash_key(folder)
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_all_that_up_made_goes(tmp_path: Path) -> None:
    done = reset(earshots(tmp_path))
    assert names(tmp_path) == {"lock"}
    assert {"kafka", "clickhouse", "logs/worker.log", "secrets/hash_key"} <= set(done.gone)
    assert done.left == []
    assert reset(tmp_path / "nowhere") == ([], [])


def test_what_is_somebody_elses_stays_and_is_named(tmp_path: Path) -> None:
    theirs = {"thesis.txt", "logs/mine.log", "secrets/diary", "photos/a.jpg"}
    for path in theirs:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("mine")
    assert reset(earshots(tmp_path)).left == ["logs", "photos", "secrets", "thesis.txt"]
    assert names(tmp_path) == theirs | {"lock", "logs", "secrets", "photos"}


def test_a_folder_with_nothing_of_earshots_is_refused_and_untouched(tmp_path: Path) -> None:
    theirs = {"thesis.txt": "mine", "kafka/notes": "mine", "clickhouse/notes": "mine", "logs/syslog": "mine", "lock": "mine"}
    for path, text in theirs.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    with pytest.raises(StackError, match="nothing in it is Earshot's"):
        reset(tmp_path)
    assert {path: (tmp_path / path).read_text() for path in theirs} == theirs


def test_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    folder = earshots(tmp_path / "data")
    for name in ("kafka", "logs"):
        (folder / name).rename(tmp_path / f"disk-{name}")
        (folder / name).symlink_to(tmp_path / f"disk-{name}")
    (folder / "clickhouse/store/link").symlink_to(tmp_path / "disk-kafka")
    done = reset(folder)
    assert names(folder) == {"lock"}
    assert (tmp_path / "disk-kafka/data/meta.properties").exists() and (tmp_path / "disk-logs/worker.log").exists()
    assert done.left == [f"kafka -> {tmp_path / 'disk-kafka'}", f"logs -> {tmp_path / 'disk-logs'}"]


def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    earshots(tmp_path / "disk")
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    reset(tmp_path / "data")
    assert names(tmp_path / "disk") == {"lock"}


def test_a_running_stack_keeps_its_folder(tmp_path: Path) -> None:
    held = lock(earshots(tmp_path))
    acquire(held, tmp_path)
    before = names(tmp_path)
    with pytest.raises(StackError, match="is in use by another `earshot up`"):
        reset(tmp_path)
    assert names(tmp_path) == before
    held.release()
