"""Decode: records become columns.

Row i is record i: each record gives one row or one dead letter, and a malformed record never costs its neighbours. The whole
batch is parsed at once as newline-delimited JSON by Arrow, which is strict about types, reads a raw newline inside a record as
white space, and gives at least one row for whatever is not empty or broken; so as many rows as records means that they are
aligned. If the parse fails, or meets an unknown field, a second pass reads each record alone with a strict msgspec type, which
says what is wrong and where, and the others are parsed again.

The frame that comes out has a column for each of `schemas.events.FIELDS`, with `created_at` and `occurred_at` as
Datetime("ms", "UTC"), the defaults filled in, and row, topic, partition, offset, event_key (UInt64).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.json
import xxhash

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from schemas import events

_SCHEMA = events.arrow_schema()
_DECODER = msgspec.json.Decoder(events.record_type())
_TOP, _NESTED = events.known_paths()
_EARLIEST = datetime.fromisoformat(events.EARLIEST)
_LISTS = [f.column for f in events.FIELDS if f.kind == "strings"]
_SAMPLE = 1_000


def _checks() -> list[tuple[str, pl.Expr]]:
    """What is wrong with a row, and where: the masks may be null, which is not wrong."""
    create = pl.col("operation") == "create"
    enums = [
        (f"{f.column} is not one of {', '.join(f.values)}", ~pl.col(f.column).is_in(f.values))
        for f in events.FIELDS
        if f.values
    ]
    floats = [(f"{f.column} is not a finite number", ~pl.col(f.column).is_finite()) for f in events.FIELDS if f.kind == "float"]
    return [
        *enums,
        *floats,
        ("id is missing", pl.col("id").fill_null("") == ""),
        ("platform is missing", pl.col("platform").fill_null("") == ""),
        ("kind is missing", pl.col("kind").is_null() & create),
        ("created_at is missing", pl.col("created_at").is_null() & create),
        ("occurred_at is missing", pl.col("occurred_at").is_null() & ~create),
    ]


_CHECKS = _checks()


class Decode:
    """The step. It rejects; it never drops, and never raises for what a record holds."""

    name = "decode"

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock

    def process(self, batch: EventBatch) -> EventBatch:
        reasons: dict[int, str] = {}
        table, rows, unknown = _parse(batch.raw, reasons)
        batch.notes.update(unknown)
        places = batch.events
        for row, reason in sorted(reasons.items()):
            batch.reject_record(row, reason, self.name, *places.row(row, named=False)[1:4])
        frame = _flatten(table)
        if len(rows) < places.height:
            places = places[rows]
        batch.events = pl.concat([places, frame], how="horizontal")
        self._times(batch)
        self._validate(batch)
        batch.events = batch.events.with_columns(event_key=event_keys(batch.events))
        return batch

    def _times(self, batch: EventBatch) -> None:
        given = {name: batch.events.get_column(name) for name in events.TIMES}
        batch.events = batch.events.with_columns(_parse_times(given[name]) for name in events.TIMES)
        latest = datetime.fromtimestamp(self._clock(), UTC) + timedelta(days=1)
        for name in events.TIMES:
            parsed = batch.events.get_column(name)
            bad = (parsed.is_null() & given[name].is_not_null()) | ~parsed.is_between(_EARLIEST, latest).fill_null(True)
            if bad.any():
                reason = pl.select(
                    pl.when(parsed.is_null())
                    .then(pl.lit(f"{name} is not an RFC 3339 time"))
                    .otherwise(pl.lit(f"{name} is outside 1995 to now + 1 day"))
                ).to_series()
                batch.reject(bad, reason, self.name)
                given = {column: series.filter(~bad) for column, series in given.items()}

    def _validate(self, batch: EventBatch) -> None:
        batch.events = batch.events.with_columns(
            pl.col("operation").fill_null("create"), *(pl.col(name).list.drop_nulls() for name in _LISTS)
        )
        # One pass over all checks: nearly every batch passes them all.
        wrong = batch.events.select(mask.any().alias(reason) for reason, mask in _CHECKS).row(0, named=True)
        for reason, mask in _CHECKS:
            if wrong[reason]:
                batch.reject(batch.events.select(mask).to_series(), reason, self.name)
        platforms = batch.events.get_column("platform")
        if bad := [name for name in platforms.unique() if not re.fullmatch(events.PLATFORM_PATTERN, name)]:
            batch.reject(platforms.is_in(bad), f"platform does not match {events.PLATFORM_PATTERN}", self.name)


def event_keys(frame: pl.DataFrame) -> pl.Series:
    """XXH3-64 of `platform:id`, the key of an event for ever: stored, and compared across restarts and machines."""
    names = frame.select(pl.concat_str("platform", pl.lit(":"), "id")).to_series().cast(pl.Binary).to_list()
    return pl.Series([xxhash.xxh3_64_intdigest(name) for name in names], dtype=pl.UInt64)


def _parse(raw: Sequence[bytes | None], reasons: dict[int, str]) -> tuple[pa.Table, list[int], Counter[str]]:
    """The parsed table, the record that each of its rows came from, and the unknown fields; `reasons` gets the others."""
    # Arrow must see only what starts with { and ends with }: an empty record gives no row, `null` alone crashes it (26.0), and
    # one that ends within an object could go on in the next record. No two records of this form can join.
    rows = [
        row
        for row, record in enumerate(raw)
        if record and ((record[0] == 123 and record[-1] == 125) or _is_object(record.strip()))
    ]
    if len(rows) < len(raw):
        for row in set(range(len(raw))).difference(rows):
            reasons[row] = _no_object(raw[row])
    records = [raw[row] or b"" for row in rows] if len(rows) < len(raw) else list(raw)
    table, unknown = _parse_whole(records, "error"), Counter[str]()
    if table is None:
        rows, good = _strict(rows, records, reasons)
        table, rows = _parse_parts(rows, good, reasons)
        unknown = _unknown_fields(records)
    return table, rows, unknown


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


def _parse_whole(records: Sequence[bytes | None], unexpected: str) -> pa.Table | None:
    """The records as a table with a row each, or None if any of them is broken (or, by "error", has an unknown field)."""
    if not records:
        return _SCHEMA.empty_table()
    joined = b"\n".join(records)  # type: ignore[arg-type]  # callers took the None out; a check here costs a pass
    if not joined.isascii():
        try:
            joined.decode()
        except UnicodeDecodeError:
            return None
    try:
        table = pyarrow.json.read_json(
            pa.py_buffer(joined),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior=unexpected),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == len(records) else None


def _strict(rows: list[int], records: Sequence[bytes | None], reasons: dict[int, str]) -> tuple[list[int], list[bytes]]:
    """Those records that are one valid object each; `reasons` gets what is wrong with the others."""
    good_rows, good = [], []
    for row, record in zip(rows, records, strict=True):
        assert record is not None
        try:
            _DECODER.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reasons[row] = str(error) or type(error).__name__
        else:
            good_rows.append(row)
            good.append(record)
    return good_rows, good


def _parse_parts(rows: list[int], records: list[bytes], reasons: dict[int, str]) -> tuple[pa.Table, list[int]]:
    """A row for each record: as it is, else (a key twice, which only msgspec accepts) rewritten by its type, else by halves."""
    table = _parse_whole(records, "ignore")
    if table is None:
        table = _parse_whole([msgspec.json.encode(_DECODER.decode(record)) for record in records], "ignore")
    if table is not None:
        return table, rows
    if len(records) == 1:
        reasons[rows[0]] = "the record can't be read as an event"
        return _SCHEMA.empty_table(), []
    half = len(records) // 2
    first, first_rows = _parse_parts(rows[:half], records[:half], reasons)
    second, second_rows = _parse_parts(rows[half:], records[half:], reasons)
    return pa.concat_tables([first, second]), first_rows + second_rows


def _unknown_fields(records: Sequence[bytes | None]) -> Counter[str]:
    """How many records carry a field that the schema lacks, in all; of more than 1,000 records a sample, scaled up."""
    stride = max(1, len(records) // _SAMPLE)
    count = 0
    for record in records[::stride]:
        try:
            event = orjson.loads(record or b"")
        except orjson.JSONDecodeError:
            continue
        count += isinstance(event, dict) and not (
            event.keys() <= _TOP
            and all(event[name].keys() <= inner for name, inner in _NESTED.items() if isinstance(event.get(name), dict))
        )
    return Counter({"unknown_field": count * stride}) if count else Counter()


def _flatten(table: pa.Table) -> pl.DataFrame:
    flat = table.flatten()
    frame = pl.from_arrow(flat.rename_columns([name.replace(".", "_") for name in flat.column_names]), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _parse_times(texts: pl.Series) -> pl.Series:
    """RFC 3339 as Datetime("ms", "UTC"); null where it is not one. Nearly all end in Z: only the others are tried again."""
    if texts.null_count() == len(texts):
        return texts.cast(pl.Datetime("ms", "UTC"))
    times = texts.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms", strict=False).dt.replace_time_zone("UTC")
    if times.null_count() == texts.null_count():
        return times
    upper = texts.str.to_uppercase().str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    zoned = upper.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="ms", time_zone="UTC", strict=False)
    return pl.select(pl.coalesce(times, zoned)).to_series().alias(texts.name)
