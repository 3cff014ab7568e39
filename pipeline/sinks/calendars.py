"""Tables brand_calendars and business_hours: the business hours of brands.yaml, so that SQL subtracts two numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.dictionary import reload_sql
from pipeline.clickhouse.query import Query
from pipeline.processors.mentions.business_hours import Calendar
from schemas.times import TIME

LOADS = tuple(map(reload_sql, ("business_seconds", "calendar_of")))
"""Load the dictionaries, in this order: a brand gets its calendar when that is there, and has the one before until then."""
_SPANS = ("opens", "closes", "until", "seconds")


class Known(NamedTuple):
    """What table brand_calendars says of a brand."""

    calendar: int
    content: str


class Changes(NamedTuple):
    """Rows to write, in this order; after a kill in between what is missing is found again."""

    brands: list[str]
    """Those whose calendar changes."""
    rows: list[tuple[str, pl.DataFrame]]
    """(table, its rows)."""


def changes(query: Query, wanted: Mapping[str, Calendar], now: datetime) -> Changes:
    """What gives each brand its calendar, and those that are not `wanted` none."""
    known = _known(query)
    contents = {brand: json.dumps(calendar._asdict(), ensure_ascii=False) for brand, calendar in wanted.items()}
    contents |= {brand: "" for brand, row in known.items() if row.content and brand not in contents}
    changed = {brand: text for brand, text in contents.items() if brand not in known or known[brand].content != text}
    numbers = {"": 0} | {row.content: row.calendar for row in known.values()}
    calendars = {contents[brand]: calendar for brand, calendar in wanted.items()}
    rows = list[tuple[str, pl.DataFrame]]()
    for content in sorted(set(changed.values()) - numbers.keys()):
        number = next(number for number in range(len(numbers) + 1) if number not in numbers.values())
        numbers[content] = number
        rows.append(("business_hours", _spans(query, number, calendars[content], now)))
    if changed:
        named = [(brand, numbers[content], content) for brand, content in sorted(changed.items())]
        frame = pl.DataFrame(named, {"brand": pl.String, "calendar": pl.UInt32, "content": pl.String}, orient="row")
        rows.append(("brand_calendars", frame.with_columns(written_at=pl.lit(now).cast(TIME))))
    return Changes(sorted(changed), rows)


def _known(query: Query) -> dict[str, Known]:
    rows = query("SELECT toString(brand) AS brand, calendar, content FROM brand_calendars FINAL")
    return {brand: Known(calendar, content) for brand, calendar, content in rows.iter_rows()}


def _spans(query: Query, number: int, calendar: Calendar, now: datetime) -> pl.DataFrame:
    """The rows of the calendar; the number loses those of another calendar that had it before."""
    times = [pl.col(name).dt.epoch("s").cast(pl.UInt32) for name in ("opens", "closes", "until")]
    spans = calendar.spans().with_columns(times)
    asked = ", ".join(f"toUInt32({name}) AS {name}" for name in _SPANS)
    before = query(f"SELECT {asked} FROM (SELECT * FROM business_hours FINAL WHERE calendar = {number})")
    old = before.select(_SPANS).join(spans, on="opens", how="anti")
    rows = pl.concat([spans.with_columns(is_deleted=pl.lit(0, pl.UInt8)), old.with_columns(is_deleted=pl.lit(1, pl.UInt8))])
    return rows.with_columns(calendar=pl.lit(number, pl.UInt32), written_at=pl.lit(now).cast(TIME))
