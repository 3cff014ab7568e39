"""Decode: records become columns.

Row i is record i: each record gives one row or one dead letter, and a malformed record never costs its neighbours
(pipeline/sources/parse.py).

The resulting frame has a column for each of `schemas.events.FIELDS`, with `created_at` and `occurred_at` as
Datetime("ms", "UTC"), the defaults filled in, and row, topic, partition, offset, event_key (UInt64).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from pipeline.sources.parse import Parser
from schemas import events
from schemas.times import TIME, to_ms

_COLUMNS = events.polars_schema()
_EARLIEST = datetime.fromisoformat(events.EARLIEST)
_LIMITED = [f for f in events.FIELDS if f.limit]
ACCOUNTS = "author_accounts"
BROKEN_ACCOUNT = "broken_account"
"""Note: entries of `author.accounts` that name no account. They are left out; the event is as good as before."""
_ACCOUNT = pl.element().str.contains(events.ACCOUNT_PATTERN) & (pl.element().str.len_bytes() <= events.ID_BYTES)


class _Check(NamedTuple):
    """A reason to reject a row, and the mask of its rows; a null in it keeps the row. Of `column` (None: any) alone."""

    reason: str
    mask: pl.Expr
    column: str | None = None


def _checks() -> list[_Check]:
    create = pl.col("operation") == "create"
    enums = [
        _Check(f"{f.column} is not one of {', '.join(f.values)}", ~pl.col(f.column).is_in(f.values), f.column)
        for f in events.FIELDS
        if f.values
    ]
    floats = [
        _Check(f"{f.column} is not a finite number", ~pl.col(f.column).is_finite(), f.column)
        for f in events.FIELDS
        if f.kind == "float"
    ]
    return [
        *enums,
        *floats,
        *map(_too_long, _LIMITED),
        _Check("id is missing", pl.col("id").fill_null("") == ""),
        _Check("platform is missing", pl.col("platform").fill_null("") == ""),
        _Check("kind is missing", pl.col("kind").is_null() & create),
        _Check("created_at is missing", pl.col("created_at").is_null() & create),
        _Check("occurred_at is missing", pl.col("occurred_at").is_null() & ~create),
    ]


def _too_long(field: events.Field) -> _Check:
    column = pl.col(field.column)
    if field.kind == "string":
        return _Check(f"{field.path} has more than {field.limit} bytes", column.str.len_bytes() > field.limit, field.column)
    longest = column.list.eval(pl.element().str.len_bytes()).list.max()
    return _Check(f"{field.path} has a name of more than {field.limit} bytes", longest > field.limit, field.column)


_CHECKS = _checks()


class Decode:
    """The step. It rejects records; it never drops one, and no record makes it raise."""

    name = "decode"

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock
        self._parser = Parser()

    def process(self, batch: EventBatch) -> EventBatch:
        reasons: dict[int, str] = {}
        table, rows, unknown = self._parser.parse(batch.raw, reasons)
        batch.notes.update(unknown)
        batch.rejected += [unreadable.letter() for unreadable in batch.unreadable]
        origins = batch.events
        for row, reason in sorted(reasons.items()):
            batch.reject_record(row, reason, self.name, *origins.row(row, named=False)[1:4])
        if len(rows) < origins.height:
            origins = origins[rows]
        flat = _flat(table)
        batch.events = pl.concat([origins, _frame(flat)], how="horizontal")
        self._times(batch)
        self._validate(batch, frozenset(flat.column_names))
        batch.events = batch.events.with_columns(event_key=event_keys(batch.events))
        return batch

    def _times(self, batch: EventBatch) -> None:
        latest = datetime.fromtimestamp(self._clock(), UTC) + timedelta(days=1)
        for name in events.TIMES:
            given = batch.events.get_column(name)
            parsed = given if given.dtype == TIME else _parse_times(given)
            if parsed is not given:
                batch.events = batch.events.with_columns(parsed)
            if parsed.null_count() == given.null_count() and _are_between(parsed, _EARLIEST, latest):
                continue
            bad = (parsed.is_null() & given.is_not_null()) | ~parsed.is_between(_EARLIEST, latest).fill_null(True)
            reason = pl.select(
                pl.when(parsed.is_null())
                .then(pl.lit(f"{name} is not an RFC 3339 time"))
                .otherwise(pl.lit(f"{name} is outside 1995 to now + 1 day"))
            ).to_series()
            batch.reject(bad, reason, self.name)

    def _validate(self, batch: EventBatch, given: frozenset[str]) -> None:
        """`given`: the columns that any record has."""
        checks = [check for check in _CHECKS if check.column is None or check.column in given]
        # One pass over all checks: nearly every batch passes them all.
        platform = pl.col("platform")
        found = batch.events.select(*(check.mask.any().alias(check.reason) for check in checks), platform.unique().implode())
        wrong = found.row(0, named=True)
        for check in checks:
            if wrong[check.reason]:
                batch.reject(batch.events.select(check.mask).to_series(), check.reason, self.name)
        if bad := [name for name in wrong["platform"] if name and not re.fullmatch(events.PLATFORM_PATTERN, name)]:
            reason = f"platform does not match {events.PLATFORM_PATTERN}"
            batch.reject(batch.events.get_column("platform").is_in(bad), reason, self.name)
        _leave_out_broken_accounts(batch)


def _leave_out_broken_accounts(batch: EventBatch) -> None:
    given = batch.events.get_column(ACCOUNTS)
    if given.null_count() == len(given):
        return
    kept = batch.events.select(pl.col(ACCOUNTS).list.eval(pl.element().filter(_ACCOUNT))).to_series()
    if broken := len(given.explode().drop_nulls()) - len(kept.explode().drop_nulls()):
        batch.events = batch.events.with_columns(kept)
        batch.notes[BROKEN_ACCOUNT] += broken


def event_keys(frame: pl.DataFrame) -> pl.Series:
    """XXH3-64 of `platform:id`, the key of an event for ever: stored, and compared across restarts and machines."""
    names = frame.select(pl.concat_str("platform", pl.lit(":"), "id")).to_series().cast(pl.Binary).to_list()
    return pl.Series(np.fromiter(map(xxhash.xxh3_64_intdigest, names), np.uint64, len(names)))


def _flat(table: pa.Table) -> pa.Table:
    """The table with a column for each field that a record has; times are parsed where all of them end in Z."""
    flat = table.flatten()
    flat = flat.rename_columns([name.replace(".", "_") for name in flat.column_names])
    for name in events.TIMES:
        if name in flat.column_names and (times := _plain_times(flat.column(name))) is not None:
            flat = flat.set_column(flat.column_names.index(name), name, times)
    return flat


def _plain_times(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Times in UTC that end in Z, as nearly all do; None: any of them is not, or has another form.

    Of texts that are long enough for seconds Arrow takes RFC 3339 only, in a tenth of the time.
    """
    if texts.null_count < len(texts):
        shortest = pc.min(pc.binary_length(texts)).as_py()
        if shortest < len("2000-01-01T00:00:00Z") or not pc.all(pc.ends_with(texts, "Z")).as_py():
            return None
    try:
        return texts.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return None


def _frame(flat: pa.Table) -> pl.DataFrame:
    """The table as a frame with a column for each field of the event."""
    frame = pl.from_arrow(flat, rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame.select(_columns(tuple(frame.schema.items())))


@lru_cache
def _columns(given: tuple[tuple[str, pl.DataType], ...]) -> list[pl.Expr]:
    """The columns of the events, of which a batch has some."""
    kinds = dict(given)
    return [_column(field, kinds.get(field.column)) for field in events.FIELDS]


def _column(field: events.Field, given: pl.DataType | None) -> pl.Expr:
    column = pl.lit(None, _COLUMNS[field.column]) if given is None else pl.col(field.column)
    if field.column in events.TIMES and given != pl.String:
        column = pl.lit(None, TIME) if given is None else column.dt.cast_time_unit("ms")
    elif field.column == "operation":
        column = column.fill_null("create")
    elif field.kind == "strings" and given is not None:
        column = column.list.drop_nulls()
    return column.alias(field.column)


def _are_between(times: pl.Series, earliest: datetime, latest: datetime) -> bool:
    # As numbers: Python has no time for the years that some may have.
    numbers = times.to_physical()
    first, last = numbers.min(), numbers.max()
    return not isinstance(first, int) or not isinstance(last, int) or to_ms(earliest) <= first <= last <= to_ms(latest)


def _parse_times(texts: pl.Series) -> pl.Series:
    """RFC 3339 as Datetime("ms", "UTC"); null where it is not one."""
    upper = texts.str.to_uppercase().str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    return upper.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="ms", time_zone="UTC", strict=False)
