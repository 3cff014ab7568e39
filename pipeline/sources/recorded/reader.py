"""The rows of a recorded file of any form: from its bytes, by the keys of a mapping and by what the file shows itself.

A file is read once, in blocks; its first megabyte decides what the mapping leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import SettingsError
from pipeline.sources.recorded import encoding as encodings
from pipeline.sources.recorded import json_rows
from pipeline.sources.recorded import table as tables
from pipeline.sources.recorded.archives import Source, inner_name, opened
from pipeline.sources.recorded.cells import Splitter
from pipeline.sources.recorded.delimited import Records, shown
from pipeline.sources.recorded.encoding import Guess, as_utf8
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.lines import split_lines
from pipeline.sources.recorded.reading import SUFFIXES, Format, Reading
from pipeline.sources.recorded.repair import REPAIRS, repair_texts, suspected
from pipeline.sources.recorded.rows import Row

Say = Callable[[str], None]
_SUSPECTED_IN = 1_000
"""So many rows are looked at for texts that need a repair."""


class Form(NamedTuple):
    """How the bytes of a file become rows, as far as they show it."""

    format: Guess[Format]
    encoding: Guess[str]
    head: bytes
    """The first bytes, in UTF-8."""
    table: tables.Table | None
    """Of a CSV or TSV."""


def format_of(path: Path, reading: Reading | None = None) -> Format:
    """The format that the mapping or the suffix says. Raises SettingsError, and as `opened`."""
    if reading and reading.format:
        return reading.format
    form = SUFFIXES.get(Path(inner_name(path, reading.member if reading else None)).suffix.lower())
    if form is None:
        raise SettingsError(f"{path}: not a .csv, .tsv, .json or .jsonl file, and no mapping names its format")
    return form


def recognise(path: Path, reading: Reading | None = None, needed: tuple[str, ...] = ()) -> Form:
    """What the first megabyte of a file shows. Raises as `opened`, and SettingsError for an unknown suffix."""
    reading = reading or Reading()
    with opened(path, reading.member) as source:
        return form_in(source, format_of(path, reading), reading, needed)


def form_in(source: Source, form: Format, reading: Reading, needed: tuple[str, ...]) -> Form:
    """What the first megabyte of an opened file shows."""
    spelt = _encoding(source, reading)
    head = b"".join(as_utf8([source.head], spelt.value if spelt.sure else "utf-8"))
    if form in ("csv", "tsv"):
        quotes, escapes = (None, None) if reading.quotes is None else (bool(reading.quotes), reading.quotes == "backslash")
        known = tables.Known(form, reading.delimiter, quotes, _given_skip(reading), reading.columns, needed, escapes)
        return Form(Guess(form, True, "the suffix"), spelt, head, tables.recognise(head, known, source.whole))
    return Form(json_rows.json_form(head, form, reading, source.whole), spelt, head, None)


def _given_skip(reading: Reading) -> int | None:
    return reading.skip if "skip" in reading.model_fields_set else None


def _encoding(source: Source, reading: Reading) -> Guess[str]:
    guess = encodings.recognise(source.head, source.whole)
    if reading.encoding is None or guess.why == encodings.BY_BOM:
        return guess
    return Guess(reading.encoding, True, "the mapping")


# --- rows -----------------------------------------------------------------------------------------------------------
def lines_of(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a JSONL file with their numbers, split on \\n only: other line ends are legal inside JSON strings.

    None stands for a line that is too long to be kept.
    """
    with opened(path) as source:
        spelt = _encoding(source, Reading())
        blocks = as_utf8(source.blocks(), spelt.value if spelt.sure else "utf-8")
        yield from enumerate(split_lines(blocks, json_rows.line_end(source)), 1)


def rows_of(path: Path, form: Format, reading: Reading, needed: tuple[str, ...], say: Say) -> Iterator[Row | Unmapped]:
    """The rows of the file in order; broken ones as `Unmapped`. `needed`: the names that the mapping reads in a row.

    Raises SettingsError if a needed column is missing, EarshotError if the file can't be read at all, FileDamaged where it
    breaks off.
    """
    with opened(path, reading.member) as source:
        found = form_in(source, form, reading, needed)
        blocks = as_utf8(source.blocks(), found.encoding.value if found.encoding.sure else "utf-8")
        rows: Iterator[Row | Unmapped]
        if found.table is not None:
            rows = table_rows(path, blocks, found, reading, needed, say)
        elif found.format.value == "jsonl":
            rows = json_rows.line_rows(split_lines(blocks, json_rows.line_end(source)), found.encoding)
        else:
            rows = json_rows.document_rows(path, blocks, reading, needed, found.encoding)
        yield from _repaired(rows, reading, say)


def _repaired(rows: Iterator[Row | Unmapped], reading: Reading, say: Say) -> Iterator[Row | Unmapped]:
    repair = REPAIRS[reading.repair] if reading.repair else None
    told = False
    for number, row in enumerate(rows):
        if isinstance(row, Row):
            if repair is not None:
                repair_texts(row.values, repair)
            elif not told and number < _SUSPECTED_IN and (name := suspected(row.values)) is not None:
                told = True
                say(f"texts look like UTF-8 that was read as another encoding: repair: {name} in the mapping repairs them")
        yield row


def table_rows(
    path: Path, blocks: Iterator[bytes], found: Form, reading: Reading, needed: tuple[str, ...], say: Say
) -> Iterator[Row | Unmapped]:
    """The rows of a delimited file, from its blocks in UTF-8. Raises SettingsError if a needed column is missing."""
    table = found.table
    assert table is not None
    splitter = Splitter(table.delimiter.value, table.quotes.value, table.escapes.value)
    records = Records(split_lines(blocks, table.line_end), splitter, found.encoding)
    for _ in range(table.skip.value):
        if not records.lines:
            break
        records.lines.take()
    header = None if reading.columns else next(iter(records), None)
    if isinstance(header, Unmapped):
        raise SettingsError(f"{path}: the header in line {header.line}: {header.reason}")
    columns = reading.columns or tables.names_in(header)
    _check_columns(path, columns, table, needed)
    if not table.delimiter.sure:
        say(f"cells are split at {table.delimiter.value!r}: delimiter: {table.delimiter.value!r} in the mapping says so")
    if not table.quotes.sure:
        say("cells are quoted: quotes: true in the mapping says so")
    if not table.escapes.sure:
        say("quotes inside cells have a backslash before them: quotes: backslash in the mapping says so")
    if not table.skip.sure:
        say(f"line {table.skip.value + 1} is the header: skip: {table.skip.value} in the mapping says so")
    records.width, records.profile = len(columns), table.profile
    for record in records:
        yield record if isinstance(record, Unmapped) else Row(record.line, dict(zip(columns, record.cells, strict=True)))


def _check_columns(path: Path, columns: tuple[str, ...], table: tables.Table, needed: tuple[str, ...]) -> None:
    """Raises SettingsError if a needed column is missing or there twice.

    The error shows the columns only where a needed one is among them: else the line may be no header but somebody's words.
    """
    missing = [name for name in needed if tables.column_of(name, columns) is None]
    if missing and not columns:
        why = "`skip` leaves all its lines out" if table.skip.value else "it is empty"
        raise SettingsError(f"{path}: the mapping names column {missing[0]!r}, the file has none: {why}")
    folded = [name.casefold() for name in columns]
    if missing and len(missing) == len(needed) and not any(tables.column_of(name.casefold(), folded) for name in needed):
        raise SettingsError(
            f"{path}: the mapping names column {missing[0]!r}, but line {table.skip.value + 1} holds no column of the mapping "
            f"({shown(needed)}): `skip` says where the header is, `columns` names the columns of a file without one"
        )
    if twice := [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]:
        raise SettingsError(
            f"{path}: the header has {shown(twice)} twice: name the columns by `columns`, and leave the header out by `skip`"
        )
    if missing:
        raise SettingsError(f"{path}: the mapping names column {missing[0]!r}, the file has {shown(columns)}")
