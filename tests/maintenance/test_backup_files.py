"""A folder that somebody else made: nothing of it steers a path, a statement or a terminal, never ends, or counts as rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import EarshotError
from pipeline.maintenance import backup_files
from pipeline.maintenance.backup_files import check_files, counted, pieces
from pipeline.maintenance.backup_manifest import NAME, File, Manifest, kept_tables, read_manifest, write_manifest
from schemas.untyped import JsonObject

COLUMNS = {table: ["a", "b"] for table in kept_tables()}
ROWS = pa.table({"a": [1, 1, 2, 2, 3], "b": ["x", "x", "x", "y", "y"]})


def written(folder: Path, rows: pa.Table = ROWS) -> Manifest:
    """A backup whose tables have all the same rows."""
    folder.mkdir()
    files = []
    for table in kept_tables():
        path = folder / f"{table}.parquet"
        pq.write_table(rows, path)
        text = path.read_bytes()
        files.append(File(table, rows.num_rows, 4, len(text), hashlib.sha256(text).hexdigest()))
    manifest = Manifest("0123456789abcdef", "2026-11-30T20:00:00+00:00", "0.1.0", "earshot", {"001_a": "1"}, {}, files)
    write_manifest(folder, manifest)
    return manifest


def checked(folder: Path, columns: dict[str, list[str]] = COLUMNS) -> None:
    check_files(folder, read_manifest(folder), columns, lambda done, all: None)


def strangers(given: JsonObject) -> list[tuple[JsonObject, str]]:
    first, *others = given["files"]
    return [
        ({**given, "files": [{**first, "table": "../../etc/passwd"}, *others]}, "names table"),
        ({**given, "files": [*given["files"], {**first, "table": "interactions"}]}, "names table 'interactions' 1 times"),
        ({**given, "files": [*given["files"], first]}, "2 times"),
        ({**given, "files": others}, "0 times"),
        ({**given, "id": "x' ENGINE = Log --"}, "id: String should match"),
        ({**given, "made_at": "\x1b[2J"}, "made_at"),
        ({**given, "server": "x'), TABLE y"}, "server"),
        ({**given, "files": [{**first, "rows": 1 << 70}, *others]}, r"files\.0\.rows"),
        ({**given, "files": [{**first, "size": -1}, *others]}, r"files\.0\.size"),
        ({**given, "files": [{**first, "rows": "1"}, *others]}, r"files\.0\.rows"),
        ({**given, "files": {"alerts": 1}}, "files"),
        ({**given, "form": 7}, "is a backup of form 7, this program reads form 2"),
        ({**given, "form": [7]}, "form"),
        ({**given, "more": 1}, "more"),
    ]


def test_a_manifest_is_exactly_one_of_ours(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    manifest = written(folder)
    assert read_manifest(folder) == manifest
    checked(folder)
    for given, why in strangers(asdict(manifest)):
        (folder / NAME).write_text(json.dumps(given))
        with pytest.raises(EarshotError, match=why):
            read_manifest(folder)
    for text, why in ((b"{", "is damaged"), (b"[]", "is damaged"), (b"[" * (2 << 20), "is damaged"), (b"\xff", "is damaged")):
        (folder / NAME).write_bytes(text)
        with pytest.raises(EarshotError, match=why):
            read_manifest(folder)
    with pytest.raises(EarshotError, match="there is no such folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(EarshotError, match="Not a directory"):
        read_manifest(folder / NAME)


def test_a_file_is_a_file_as_it_was_written(tmp_path: Path) -> None:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to("/dev/zero")

    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    def folder_of_the_name(path: Path) -> None:
        path.unlink()
        path.mkdir()

    damages: list[tuple[Callable[[Path], object], str]] = [
        (Path.unlink, "No such file or directory; nothing was restored"),
        (link, "Too many levels of symbolic links"),
        (pipe, "is no file"),
        (folder_of_the_name, "Is a directory"),
        (lambda path: path.write_bytes(b""), "another size"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "its SHA-256 is another one"),
    ]
    for number, (damage, why) in enumerate(damages):
        folder = tmp_path / f"kept{number}"
        written(folder)
        damage(folder / "customers.parquet")
        with pytest.raises(EarshotError, match=why):
            checked(folder)


def test_what_has_the_right_sum_and_is_no_table_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = written(tmp_path / "kept")
    rest = {table: COLUMNS[table] for table in COLUMNS if table != "customers"}
    with pytest.raises(EarshotError, match=r"customers\.parquet is damaged \(it has other rows or columns"):
        checked(tmp_path / "kept", {**rest, "customers": ["a"]})
    written(tmp_path / "odd", pa.table({"a": [1], "b) SELECT 1 --": ["x"]}))
    with pytest.raises(EarshotError, match="it has other rows or columns"):
        checked(tmp_path / "odd")
    text = b"PAR1 no Parquet"
    (tmp_path / "kept" / "customers.parquet").write_bytes(text)
    files = [
        replace(each, size=len(text), sha256=hashlib.sha256(text).hexdigest()) if each.table == "customers" else each
        for each in manifest.files
    ]
    (tmp_path / "kept" / NAME).unlink()
    write_manifest(tmp_path / "kept", replace(manifest, files=files))
    with pytest.raises(EarshotError, match="no file of Parquet"):
        checked(tmp_path / "kept")
    monkeypatch.setattr(backup_files, "_GROUP_BYTES", 1 << 20)
    written(tmp_path / "bomb", pa.table({"a": [0] * 50, "b": ["0" * 100_000 + str(n) for n in range(50)]}))
    with pytest.raises(EarshotError, match="unpacks to more than a backup writes"):
        checked(tmp_path / "bomb")


def test_rows_are_counted_by_their_keys_and_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(ROWS, path, row_group_size=2)
    monkeypatch.setattr(backup_files, "PIECE", 2)
    assert (counted(path, ["a", "b"]), counted(path, ["a"]), counted(path, ["b"])) == ((5, 4), (5, 3), (5, 2))
    assert [piece.num_rows for piece in pieces(path)] == [2, 2, 1]
    pq.write_table(ROWS[:0], path)
    assert counted(path, ["a"]) == (0, 0) and list(pieces(path)) == []
    monkeypatch.undo()
    monkeypatch.setattr(backup_files, "PIECE_BYTES", 1_000)
    long = pa.table({"a": list(range(20)), "b": ["0" * 500] * 20})
    pq.write_table(long, path)
    sizes = [piece.num_rows for piece in pieces(path)]
    assert sum(sizes) == 20 and max(sizes) <= 2, "a row of table acts may have many bytes"
