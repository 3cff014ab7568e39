"""The files of a backup: Parquet, read in pieces; and whether they are as they were written."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import EarshotError
from pipeline.maintenance.backup_manifest import File, Manifest, open_file

PIECE, PIECE_BYTES = 50_000, 32 << 20
"""Rows of one insert, and about its bytes: a row of table acts may have many."""
_GROUP_BYTES = 1 << 30
"""Of a row group, unpacked: ours have a sixteenth of it."""
_BLOCK = 1 << 20
NOTHING = "nothing was restored"


def check_files(
    folder: Path, manifest: Manifest, columns: Mapping[str, Sequence[str]], advance: Callable[[int, int], None]
) -> None:
    """Returns if each file is as it was written, with the columns of its table; `advance` hears of the bytes read, and of all.
    Raises EarshotError."""
    read, size = 0, sum(each.size for each in manifest.files)
    for each in manifest.files:
        path, digest = folder / each.name, hashlib.sha256()
        with _readable(path, NOTHING) as file:
            if file.seek(0, 2) != each.size:
                raise EarshotError(f"{path} is damaged (it has another size); {NOTHING}")
            file.seek(0)
            while block := file.read(_BLOCK):
                digest.update(block)
                advance(read := read + len(block), size)
            if digest.hexdigest() != each.sha256:
                raise EarshotError(f"{path} is damaged (its SHA-256 is another one); {NOTHING}")
            _check_form(path, pq.ParquetFile(file), each, columns[each.table])


def pieces(path: Path) -> Iterator[pa.RecordBatch]:
    """All rows, some at a time, in their order. Raises EarshotError."""
    with _readable(path, "the restore broke off: run it again") as file:
        for batch in pq.ParquetFile(file).iter_batches(PIECE):
            step = max(1, batch.num_rows * PIECE_BYTES // max(batch.nbytes, PIECE_BYTES))
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step)


def counted(path: Path, key: Sequence[str]) -> tuple[int, int]:
    """How many rows the file has, and how many of different keys, in whose order they are; it is read to its end. Raises
    OSError, pa.ArrowException."""
    rows, different, last = 0, 0, None
    with path.open("rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(PIECE, columns=list(key)):
            if not batch.num_rows:
                continue
            first, rows = _row(batch, 0), rows + batch.num_rows
            different += int(first != last) + _changes(batch)
            last = _row(batch, batch.num_rows - 1)
    return rows, different


def _changes(batch: pa.RecordBatch) -> int:
    """How many rows have another key than the one before."""
    others = [pc.not_equal(column[1:], column[:-1]) for column in batch.columns]
    return int(pc.sum(functools.reduce(pc.or_, others)).as_py() or 0)


def _row(batch: pa.RecordBatch, number: int) -> list[object]:
    return [column[number].as_py() for column in batch.columns]


def _check_form(path: Path, file: Any, each: File, columns: Sequence[str]) -> None:
    """Raises EarshotError if somebody else wrote it: sums are right then, too."""
    meta = file.metadata
    if meta.num_rows != each.rows or file.schema_arrow.names != list(columns):
        raise EarshotError(f"{path} is damaged (it has other rows or columns than table {each.table}); {NOTHING}")
    if any(meta.row_group(number).total_byte_size > _GROUP_BYTES for number in range(meta.num_row_groups)):
        raise EarshotError(f"{path} unpacks to more than a backup writes; {NOTHING}")


@contextmanager
def _readable(path: Path, end: str) -> Iterator[BinaryIO]:
    try:
        with open_file(path) as file:
            yield file
    except OSError as error:
        raise EarshotError(f"{path}: {error.strerror or 'it is no file of Parquet'}; {end}") from None
    except pa.ArrowException:
        raise EarshotError(f"{path} is damaged (it is no file of Parquet); {end}") from None
