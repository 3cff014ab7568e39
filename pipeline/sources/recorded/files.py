"""Recorded events: JSONL of canonical events, and any CSV, TSV, JSON or JSONL through a mapping.

`read_events` yields every event or line of a file in its order, as `Mapped` or, with the reason, as `Unmapped`: a row that
doesn't map never costs the rest. Events = mapped + unmapped. The same file gives the same events, ids included, each time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.mapping import REQUIRED, SUFFIXES, EventMapping, Format, MappingFile
from pipeline.sources.recorded.values import BUILT_IN, RowNames, Unmappable, compile_fields, condition, reference, references


class Mapped(NamedTuple):
    """An event and the line where its row starts (of a JSON document: the row's number). Bytes are a line as it stood."""

    line: int
    event: dict[str, Any] | bytes


class Unmapped(NamedTuple):
    """A row, or an event of a row, that doesn't map."""

    line: int
    reason: str


class Row(NamedTuple):
    line: int
    values: RowNames


def read_events(path: Path, mapping: MappingFile | None = None) -> Iterator[Mapped | Unmapped]:
    """The events of a file.

    Without a mapping a JSONL file's lines pass as raw bytes, even broken ones: the pipeline says what is wrong with them.
    Raises SettingsError when the mapping doesn't fit the file (a column it names is missing), EarshotError when a file can't
    be read at all.
    """
    form = format_of(path, mapping)
    if mapping is None:
        if form != "jsonl":
            raise SettingsError(
                f"{path}: a {form.upper()} file needs a mapping (--mapping, or {path.stem}.mapping.yaml beside it)"
            )
        return _guarded(path, (Mapped(line, raw) for line, raw in _lines(path)))
    return _guarded(path, _mapped_events(path, form, mapping))


def format_of(path: Path, mapping: MappingFile | None = None) -> Format:
    form = mapping.format if mapping and mapping.format else SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise SettingsError(f"{path}: not a .csv, .tsv, .json or .jsonl file, and no mapping names its format")
    return form


def _guarded(path: Path, items: Iterator[Mapped | Unmapped]) -> Iterator[Mapped | Unmapped]:
    try:
        yield from items
    except OSError as error:
        raise EarshotError(f"{error.filename or path}: {error.strerror}") from None


# --- rows -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Layout:
    """How to read the rows of one file: the first, or a joined one."""

    form: Format
    encoding: str
    rows: str | None
    columns: tuple[str, ...]
    """What a CSV file's header must name: a misspelt column is one error, not thirty thousand empty values."""


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Split on \\n only: other line ends are legal inside JSON strings."""
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            yield line, raw.removesuffix(b"\n")


def _rows(path: Path, layout: Layout) -> Iterator[Row | Unmapped]:
    if layout.form == "json":
        return _json_rows(path, layout.rows)
    if layout.form == "jsonl":
        return (_json_row(line, raw) for line, raw in _lines(path))
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
    """`line` is the physical line where the record starts: a quoted field may hold line ends."""
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


# --- events ---------------------------------------------------------------------------------------------------------
def _mapped_events(path: Path, form: Format, mapping: MappingFile) -> Iterator[Mapped | Unmapped]:
    names = {each.name for event in mapping.events if (each := event.each)} | mapping.join.keys()
    columns = (name for name in references(mapping) if name not in BUILT_IN and name.partition(".")[0] not in names)
    _check_used(path, form, mapping)
    joins = [_joined(path, name, mapping) for name in mapping.join]
    makers = [_maker(event, mapping) for event in mapping.events]
    for row in _rows(path, Layout(form, mapping.encoding, mapping.rows, tuple(columns))):
        if isinstance(row, Unmapped):
            yield row
            continue
        scope = {**row.values, "$line": row.line}
        for join in joins:
            join(scope)
        items = [item for make in makers for item in make(row.line, scope)]
        yield from items or [Unmapped(row.line, "no event of the mapping applies")]


def _check_used(path: Path, form: Format, mapping: MappingFile) -> None:
    """Raises SettingsError for a key that does nothing to a file of this format."""
    if mapping.rows is not None and form != "json":
        raise SettingsError(f"{path}: the mapping's key rows is for format json, this is {form}")
    if "encoding" in mapping.model_fields_set and form in ("json", "jsonl") and not mapping.join:
        raise SettingsError(f"{path}: the mapping's key encoding is for csv and tsv: {form} is always UTF-8")
    used = {name.partition(".")[0] for name in references(mapping)}
    for name in mapping.join:
        if name not in used:
            raise SettingsError(f"{path}: nothing of the mapping refers to its join {name!r}")


def _joined(path: Path, name: str, mapping: MappingFile) -> Callable[[RowNames], None]:
    """Reads the second file whole; returns what adds its matching row to a scope. The first row of a key counts."""
    join = mapping.join[name]
    other = path.with_name(join.file)
    columns = (join.key, *(ref.partition(".")[2] for ref in references(mapping) if ref.startswith(f"{name}.")))
    key, by = reference(join.key), reference(join.by)
    index: dict[Any, RowNames] = {}
    for row in _rows(other, Layout(format_of(other), mapping.encoding, None, columns)):
        if isinstance(row, Row):
            index.setdefault(key(row.values), row.values)

    def add(scope: RowNames) -> None:
        scope[name] = index.get(by(scope), {})

    return add


def _maker(event: EventMapping, mapping: MappingFile) -> Callable[[int, RowNames], Iterator[Mapped | Unmapped]]:
    """Yields the events that this part of the mapping makes of a row: none, one, or one for each element of a list."""
    applies = condition(event.when) if event.when else None
    build = partial(_build, compile_fields({**mapping.defaults, **event.fields}))
    each = event.each
    elements = reference(each.list) if each else None

    def scopes(scope: RowNames) -> Iterator[RowNames]:
        if each is None or elements is None:
            yield scope
            return
        nested = elements(scope)
        for index, element in enumerate(nested if isinstance(nested, list) else ()):
            yield {**scope, each.name: element, "$index": index}

    def make(line: int, row: RowNames) -> Iterator[Mapped | Unmapped]:
        for scope in scopes(row):
            if applies is None or applies(scope):
                try:
                    yield Mapped(line, build(scope))
                except Unmappable as error:
                    yield Unmapped(line, str(error))

    return make


def _build(fields: list[tuple[str, Callable[[RowNames], Any], Callable[[Any], Any]]], scope: RowNames) -> dict[str, Any]:
    """One event: absent fields are left out, as are the objects that would be empty."""
    event: dict[str, Any] = {}
    for path, get, convert in fields:
        try:
            found = get(scope)
            if found is not None:
                found = convert(found)
        except Unmappable as error:
            raise Unmappable(f"{path}: {error}") from None
        if found is None:
            if path in REQUIRED:
                raise Unmappable(f"{path} is empty")
            continue
        head, _, tail = path.partition(".")
        if tail:
            event.setdefault(head, {})[tail] = found
        else:
            event[head] = found
    return event
