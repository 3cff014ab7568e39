"""The rows that don't map, of files of any size: the first ones in memory, the others in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import orjson

KEPT = 10_000


class UnmappedRow(NamedTuple):
    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class UnmappedRows:
    """Rows in the order in which they came; they can only be added. An index reaches the first `KEPT`."""

    def __init__(self) -> None:
        self._first: list[UnmappedRow] = []
        self._count = 0
        self._files: dict[Path, int] = {}
        self._rest: IO[bytes] | None = None

    def append(self, row: UnmappedRow) -> None:
        self._count += 1
        if self._count <= KEPT:
            self._first.append(row)
            return
        if self._rest is None:
            self._rest = tempfile.TemporaryFile("a+b")  # noqa: SIM115 it lives as long as the report
            weakref.finalize(self, self._rest.close)
        self._rest.write(orjson.dumps((self._files.setdefault(row.file, len(self._files)), row.line, row.reason)) + b"\n")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[UnmappedRow]:
        yield from self._first
        if self._rest is not None:
            files = list(self._files)
            self._rest.flush()
            self._rest.seek(0)
            for raw in self._rest:
                file, line, reason = orjson.loads(raw)
                yield UnmappedRow(files[file], line, reason)

    def __getitem__(self, index: int) -> UnmappedRow:
        return self._first[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    def first(self, count: int) -> list[UnmappedRow]:
        """At most `KEPT` of them."""
        return self._first[:count]
