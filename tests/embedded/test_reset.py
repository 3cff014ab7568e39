"""`earshot reset` deletes what Earshot made and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.embedded.folder import claim
from pipeline.embedded.privacy_keys import make_keys
from pipeline.embedded.reset import ours, reset
from pipeline.embedded.secret import write_secret
from pipeline.embedded.stack import acquire, lock
from pipeline.embedded.token import make_token
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
        **{f"logs/{name}.log": "" for name in ("control", "customers", "listen")},
        "earshot-data": "",
        "lock": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    make_keys(folder, "hash_key")
    make_keys(folder, "data_key")
    write_secret(folder / "secrets" / "hash_key.1", "that of before")
    make_token(folder, "customers")
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_all_that_up_made_goes(tmp_path: Path) -> None:
    done = reset(earshots(tmp_path))
    assert names(tmp_path) == {"lock"}
    assert {"kafka", "clickhouse", "logs/worker.log", "secrets/hash_key", "secrets/hash_key.1", "secrets/data_key"} <= set(
        done.gone
    )
    assert done.left == []
    assert reset(tmp_path / "nowhere") == ([], [])


def test_what_is_somebody_elses_stays_and_is_named(tmp_path: Path) -> None:
    theirs = {"thesis.txt", "logs/mine.log", "logs/worker.d/a", "logs/worker.log.gz", "secrets/diary", "photos/a.jpg"}
    for path in theirs:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("mine")
    assert reset(earshots(tmp_path)).left == ["logs", "photos", "secrets", "thesis.txt"]
    assert names(tmp_path) == theirs | {"lock", "logs", "logs/worker.d", "secrets", "photos"}


THEIRS = [
    "thesis.txt",
    "kafka/server.properties",
    "kafka/notes.txt",
    "clickhouse/engine.xml",
    "logs/worker.log",
    "logs/worker.d/thesis",
    "secrets/hash_key",
    "lock",
]


def test_a_folder_of_before_the_mark_is_known_by_what_up_always_made(tmp_path: Path) -> None:
    (earshots(tmp_path) / "earshot-data").unlink()
    with pytest.raises(StackError, match="nothing in it is Earshot's"):
        reset(tmp_path)
    make_token(tmp_path, "control")
    assert {"kafka", "clickhouse"} <= set(reset(tmp_path).gone)
    assert names(tmp_path) == {"lock"}


def test_up_takes_no_folder_of_somebody_elses_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    with pytest.raises(StackError, match="kafka/ in it is not Earshot's"):
        claim(tmp_path)
    assert names(tmp_path) == {"kafka"}


def test_a_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    for _ in range(2):
        claim(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o755)


def test_the_question_names_what_goes(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["reset", "--data-dir", str(earshots(tmp_path))], input="n\n")
    for path in ("kafka", "clickhouse", "logs/worker.log", "logs/worker.1.log", "secrets/hash_key"):
        assert path in asked.output
    assert asked.exit_code == 1 and (tmp_path / "kafka").is_dir()


def test_a_folder_with_nothing_of_earshots_is_refused_and_untouched(tmp_path: Path) -> None:
    """A project may have a Kafka and a worker too."""
    theirs = dict.fromkeys(THEIRS, "mine")
    for path, text in theirs.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert ours(tmp_path) == []
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


def test_of_a_folder_that_is_not_there_nothing_is_asked(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["reset", "--data-dir", str(tmp_path / "nowhere")])
    assert done.exit_code == 0 and "deleted nothing" in done.output and not (tmp_path / "nowhere").exists()
