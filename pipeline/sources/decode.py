"""Decode: records become columns.

Row i is record i: each record gives one row or one dead letter, and a malformed record never costs its neighbours
(pipeline/sources/parse.py).

The resulting frame has a column for each of `schemas.events.FIELDS`, with `created_at` and `occurred_at` as
Datetime("ms", "UTC"), the defaults filled in, and row, topic, partition, offset, event_key (UInt64).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import xxhash

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from pipeline.sources.parse import Parser
from schemas import events
from schemas.times import TIME

_COLUMNS = events.polars_schema()
_EARLIEST = datetime.fromisoformat(events.EARLIEST)
_LISTS = [f.column for f in events.FIELDS if f.kind == "strings"]
_LIMITED = [f for f in events.FIELDS if f.limit]
ACCOUNTS = "author_accounts"
BROKEN_ACCOUNT = "broken_account"
"""Note: entries of `author.accounts` that name no account. They are left out; the event is as good as before."""
_ACCOUNT = pl.element().str.contains(events.ACCOUNT_PATTERN) & (pl.element().str.len_bytes() <= events.ID_BYTES)


def _checks() -> list[tuple[str, pl.Expr]]:
    """Reasons to reject a row, each with the mask of its rows; a null in a mask keeps the row."""
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
        *map(_too_long, _LIMITED),
        ("id is missing", pl.col("id").fill_null("") == ""),
        ("platform is missing", pl.col("platform").fill_null("") == ""),
        ("kind is missing", pl.col("kind").is_null() & create),
        ("created_at is missing", pl.col("created_at").is_null() & create),
        ("occurred_at is missing", pl.col("occurred_at").is_null() & ~create),
    ]


def _too_long(field: events.Field) -> tuple[str, pl.Expr]:
    column = pl.col(field.column)
    if field.kind == "string":
        return f"{field.path} has more than {field.limit} bytes", column.str.len_bytes() > field.limit
    longest = column.list.eval(pl.element().str.len_bytes()).list.max()
    return f"{field.path} has a name of more than {field.limit} bytes", longest > field.limit


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
        frame = _frame(table)
        if len(rows) < origins.height:
            origins = origins[rows]
        batch.events = pl.concat([origins, frame], how="horizontal")
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
    return pl.Series([xxhash.xxh3_64_intdigest(name) for name in names], dtype=pl.UInt64)


def _frame(table: pa.Table) -> pl.DataFrame:
    """The table as a frame with a column for each field of the event."""
    flat = table.flatten()
    frame = pl.from_arrow(flat.rename_columns([name.replace(".", "_") for name in flat.column_names]), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    missing = [pl.lit(None, kind).alias(name) for name, kind in _COLUMNS.items() if name not in frame.columns]
    return frame.with_columns(missing).select(*_COLUMNS)


def _parse_times(texts: pl.Series) -> pl.Series:
    """RFC 3339 as Datetime("ms", "UTC"); null where it is not one."""
    if texts.null_count() == len(texts):
        return texts.cast(TIME)
    # Nearly all end in Z. Of those that are long enough for seconds Arrow takes RFC 3339 only, in a tenth of the time.
    if texts.str.ends_with("Z").all() and texts.str.len_bytes().min() >= len("2000-01-01T00:00:00Z"):  # type: ignore[operator]
        try:
            return pl.Series(texts.name, texts.to_arrow().cast(pa.timestamp("us", "UTC"))).dt.cast_time_unit("ms")
        except pa.ArrowInvalid:
            pass
    upper = texts.str.to_uppercase().str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    return upper.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="ms", time_zone="UTC", strict=False)
