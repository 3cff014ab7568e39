"""Times as they cross a process: UTC, in whole milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

TIME = pl.Datetime("ms", "UTC")
"""The type of a column of times, in frames and tables."""


def rfc3339(moment: datetime, *, short: bool = False) -> str:
    """2015-02-24T19:42:00.000Z; `short`: without the milliseconds where they are zero."""
    moment = moment.astimezone(UTC)
    whole = short and moment.microsecond < 1000
    return moment.isoformat(timespec="seconds" if whole else "milliseconds").replace("+00:00", "Z")


def utc_now() -> datetime:
    """The clock, in whole milliseconds: what the tables hold."""
    return whole_ms(datetime.now(UTC))


def whole_ms(moment: datetime) -> datetime:
    """Without the microseconds that a column of milliseconds does not hold."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
