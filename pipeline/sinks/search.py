"""Finds events in table interactions by their keys: in the minutes of their created_at, else from young to old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import minutes

_KEYS = 5_000
"""Of one query."""
RANGE_ROWS = 100_000_000
"""Rows that a query without minutes scans, about: a second, or 800 MB to read, of the 20 s that a query may take."""
Ask = Callable[[str], pl.DataFrame]
"""Returns the rows of table interactions that meet a condition; event_key is among their columns."""


class Search:
    """Queries for events, split so that each ends in time, however many events and however large the table."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    def at(self, keys: pl.DataFrame, ask: Ask) -> list[pl.DataFrame]:
        """The rows of these events in the minutes of their created_at."""
        return [ask(f"{_events(part)} AND {minutes(part.get_column('created_at'))}") for part in keys.iter_slices(_KEYS)]

    def anywhere(self, keys: pl.DataFrame, ask: Ask) -> list[pl.DataFrame]:
        """The rows of these events, whenever they were created.

        All rows of an event have one created_at, and most changes are of young events: so the search starts
        with the newest rows, and goes on to older ones only for events without a row yet. Without a minute a query reads the
        filters, and for many keys the keys, of all rows in its range: over a whole large table that takes too long.
        """
        answers: list[pl.DataFrame] = []
        for when in self._ranges() if keys.height else ():
            parts = [ask(f"{_events(part)} AND {when}") for part in keys.iter_slices(_KEYS)]
            answers += parts
            keys = keys.join(pl.concat(parts), on="event_key", how="anti")
            if not keys.height:
                break
        return answers

    def _ranges(self) -> list[str]:
        """Conditions that together cover every row, each RANGE_ROWS or fewer, the newest first."""
        # ClickHouse answers this from the metadata of its parts.
        rows = self._inserter.query(
            "SELECT toYYYYMM(created_at) AS month, count() AS n FROM interactions GROUP BY month ORDER BY month DESC"
        )
        bounds: list[datetime] = []
        size = 0
        for month, count in rows.iter_rows():
            size += count
            if size >= RANGE_ROWS:
                bounds += _within(month, -(-count // RANGE_ROWS))
                size = 0
        if not bounds:
            return ["1"]
        ranges = [f"created_at >= {_sql(low)} AND created_at < {_sql(above)}" for above, low in pairwise(bounds)]
        return [f"created_at >= {_sql(bounds[0])}", *ranges, f"created_at < {_sql(bounds[-1])}"]


def _within(month: int, pieces: int) -> list[datetime]:
    """The start of each piece of the month, the last first."""
    start = datetime(month // 100, month % 100, 1, tzinfo=UTC)
    return [start + timedelta(days=31) * piece / pieces for piece in reversed(range(pieces))]


def _sql(at: datetime) -> str:
    return f"'{at:%Y-%m-%d %H:%M:%S}'"


def _events(keys: pl.DataFrame) -> str:
    return f"event_key IN ({','.join(map(str, keys.get_column('event_key')))})"
