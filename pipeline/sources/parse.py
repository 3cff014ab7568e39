"""Parsing: the records of a batch as one Arrow table with a row for each record, or a reason why a record is no event.

Arrow parses the whole batch at once as newline-delimited JSON. It is strict about types, reads a raw newline inside a record as
white space, and gives at least one row for text that is not empty or broken; so as many rows as records means that they are
aligned. Its schema has only the fields that the stream has used so far, because a field in the schema costs the same whether
records have it or not; a batch that uses another field is parsed again with all of them. If that fails, or meets an unknown
field, a strict msgspec type reads each record alone and names the error and its field, and Arrow parses the other records
again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import orjson
import pyarrow as pa
import pyarrow.json

from pipeline.records import Records
from schemas import events

_SCHEMA = events.arrow_schema()
_DECODER = msgspec.json.Decoder(events.record_type())
_KNOWN = events.known_paths()
_SAMPLE = 1_000
# Arrow's own pool returns the pages of each batch to the system, and asks for new ones for the next.
_POOL = pa.system_memory_pool()


class Parser:
    """Parses batches of one stream, and learns which fields it uses. For one thread at a time."""

    def __init__(self) -> None:
        self._used = frozenset(("id", "platform"))
        self._schema = _pruned(self._used)

    def parse(self, raw: Records, reasons: dict[int, str]) -> tuple[pa.Table, Sequence[int], Counter[str]]:
        """The parsed table, the record that each of its rows came from, and the unknown fields; `reasons` gets the others.

        The table lacks columns that no record uses.
        """
        rows, records = _objects(raw, reasons)
        table = _table(records, self._schema, "error")
        if table is None:
            table = _table(records, _SCHEMA, "error")
            if table is not None:
                self._used |= _paths(records)
                self._schema = _pruned(self._used)
        if table is not None:
            return table, rows, Counter()
        good_rows: Sequence[int]
        good_rows, good = _strict(rows, records, reasons)
        table, good_rows = _by_parts(good_rows, good, reasons)
        return table, good_rows, _unknown_fields(records)


def _objects(raw: Records, reasons: dict[int, str]) -> tuple[Sequence[int], Sequence[bytes]]:
    """The records that look like one object, and their rows; `reasons` gets the others.

    Arrow must see only records that start with { and end with }: an empty record gives no row, `null` alone crashes it (26.0),
    and a record that ends within an object could go on in the next. No two records of this form can join.
    """
    if raw.are_objects():
        return range(len(raw)), raw  # type: ignore[return-value]  # none of them is None
    rows = [row for row, record in enumerate(raw) if record and _is_object(record.strip())]
    for row in set(range(len(raw))).difference(rows):
        reasons[row] = _no_object(raw[row])
    return rows, [raw[row] or b"" for row in rows]


def _is_object(record: bytes) -> bool:
    return record[:1] == b"{" and record[-1:] == b"}"


def _no_object(record: bytes | None) -> str:
    if record is None:
        return "a tombstone: the record has no value"
    if not record.strip():
        return "the record is empty"
    try:
        _DECODER.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    return "the record is not one JSON object"


def _table(records: Sequence[bytes], schema: pa.Schema, unexpected: str) -> pa.Table | None:
    """The records with a row each, or None if any of them is broken or (by "error") has a field that `schema` lacks."""
    if not records:
        return schema.empty_table()
    joined = records.lines if isinstance(records, Records) else b"\n".join(records)
    if not joined.isascii():
        try:
            joined.decode()
        except UnicodeDecodeError:
            return None
    try:
        table = pyarrow.json.read_json(
            pa.py_buffer(joined),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
            memory_pool=_POOL,
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == len(records) else None


def _strict(rows: Sequence[int], records: Sequence[bytes], reasons: dict[int, str]) -> tuple[list[int], list[bytes]]:
    """The records that are one valid object each; `reasons` gets the errors of the others."""
    good_rows, good = [], []
    for row, record in zip(rows, records, strict=True):
        try:
            _DECODER.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reasons[row] = str(error) or type(error).__name__
        else:
            good_rows.append(row)
            good.append(record)
    return good_rows, good


def _by_parts(rows: Sequence[int], records: Sequence[bytes], reasons: dict[int, str]) -> tuple[pa.Table, Sequence[int]]:
    """A row for each record: as it is, else (a key twice, which only msgspec accepts) rewritten by its type, else by halves."""
    table = _table(records, _SCHEMA, "ignore")
    if table is None:
        table = _table([msgspec.json.encode(_DECODER.decode(record)) for record in records], _SCHEMA, "ignore")
    if table is not None:
        return table, rows
    if len(records) == 1:
        reasons[rows[0]] = "the record can't be read as an event"
        return _SCHEMA.empty_table(), []
    half = len(records) // 2
    first, first_rows = _by_parts(rows[:half], records[:half], reasons)
    second, second_rows = _by_parts(rows[half:], records[half:], reasons)
    return pa.concat_tables([first, second]), [*first_rows, *second_rows]


def _paths(records: Sequence[bytes]) -> set[str]:
    """The paths of all fields that the records use; those that orjson can't read use none."""
    paths: set[str] = set()
    for record in records:
        event = _loads(record)
        paths.update(event)
        for name, inner in event.items():
            if isinstance(inner, dict):
                paths.update(f"{name}.{child}" for child in inner)
    return paths


def _unknown_fields(records: Sequence[bytes]) -> Counter[str]:
    """How many records carry a field that the schema lacks, in all; of more than 1,000 records a sample, scaled up."""
    stride = max(1, len(records) // _SAMPLE)
    count = sum(not _paths([record]) <= _KNOWN for record in records[::stride])
    return Counter({"unknown_field": count * stride}) if count else Counter()


def _loads(record: bytes) -> dict[str, object]:
    try:
        event = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


def _pruned(paths: frozenset[str]) -> pa.Schema:
    """The schema of a record with these fields only."""
    fields = []
    for field in _SCHEMA:
        if field.name not in paths:
            continue
        if pa.types.is_struct(field.type):
            field = field.with_type(pa.struct([child for child in field.type if f"{field.name}.{child.name}" in paths]))
        fields.append(field)
    return pa.schema(fields)
