"""The rows of a recorded file: CSV, TSV, JSON and JSONL, each with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.mapping import Format
from pipeline.sources.recorded.values import (
    RowNames,
    reference,
)


class Row(NamedTuple):
    """A row and the line where it starts."""

    line: int
    values: RowNames


@dataclass(frozen=True)
class Layout:
    """How to read the rows of one file: the first, or a joined one."""

    form: Format
    encoding: str
    rows: str | None
    columns: tuple[str, ...]
    """Columns that a CSV header must have: a misspelt column is one error, not thirty thousand empty values."""


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers, split on \\n only: other line ends are legal inside JSON strings."""
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            yield line, raw.removesuffix(b"\n")


def rows_of(path: Path, layout: Layout) -> Iterator[Row | Unmapped]:
    """The rows of the file in order; broken ones as `Unmapped`. Raises EarshotError if the file is not JSON at all."""
    if layout.form == "json":
        return _json_rows(path, layout.rows)
    if layout.form == "jsonl":
        return (_json_row(line, raw) for line, raw in lines_of(path))
    return _csv_rows(path, layout)


def _json_rows(path: Path, rows: str | None) -> Iterator[Row | Unmapped]:
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise EarshotError(f"{path}: not JSON: {error}") from None
    if rows is not None:
        document = reference(rows)(document) if isinstance(document, dict) else None
        if document is None:
            raise SettingsError(f"{path}: no rows at {rows!r}")
    for number, row in enumerate(document if isinstance(document, list) else [document], 1):
        yield Row(number, row) if isinstance(row, dict) else Unmapped(number, "the row is not an object")


def _json_row(line: int, raw: bytes) -> Row | Unmapped:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Unmapped(line, f"not JSON: {error}" if raw.strip() else "empty line")
    return Row(line, row) if isinstance(row, dict) else Unmapped(line, "not a JSON object")


def _csv_rows(path: Path, layout: Layout) -> Iterator[Row | Unmapped]:
    """Each row's `line` is the physical line where its record starts: a quoted field may hold line ends."""
    with path.open(encoding=layout.encoding, errors="surrogateescape", newline="\n") as file:
        reader = csv.reader(file, delimiter="\t" if layout.form == "tsv" else ",")
        header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
        for name in layout.columns:
            if name not in header:
                raise SettingsError(f"{path}: the mapping names column {name!r}, the file has {', '.join(header) or 'none'}")
        while True:
            line = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bare = "new-line character" in str(error)
                yield Unmapped(line, "a carriage return outside quotes" if bare else f"not {layout.form.upper()}: {error}")
            else:
                yield _csv_row(line, header, record, layout.encoding)


def _csv_row(line: int, header: list[str], record: list[str], encoding: str) -> Row | Unmapped:
    if len(record) != len(header):
        return Unmapped(line, f"{len(record)} columns, the header has {len(header)}" if record else "empty line")
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        return Unmapped(line, f"not {encoding.upper()}")
    return Row(line, dict(zip(header, record, strict=True)))
