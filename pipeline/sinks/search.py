"""Finding events in table interactions by their keys: in the minutes that they were created in, else from young to old."""

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
"""What a query without minutes goes through, about: a second, or the reading of 800 MB, where it has to be answered in 20 s."""
Ask = Callable[[str], pl.DataFrame]
"""The rows of table interactions, event_key among their columns, that meet a condition."""


class Search:
    """Asks for events in queries that end in time, however many events and however large the table."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    def at(self, keys: pl.DataFrame, ask: Ask) -> list[pl.DataFrame]:
        """What there is of these events in the minutes of their created_at."""
        return [ask(f"{_events(part)} AND {minutes(part.get_column('created_at'))}") for part in keys.iter_slices(_KEYS)]

    def anywhere(self, keys: pl.DataFrame, ask: Ask) -> list[pl.DataFrame]:
        """What there is of these events, whenever they were created.

        All rows of an event have one created_at, and most changes are of young events: so the newest rows are searched first,
        and older ones only for what is not found yet. Without a minute a query reads the filters, and for many keys the keys,
        of all the rows that it is about: over the whole of a large table that takes longer than a query may.
        """
        answers: list[pl.DataFrame] = []
        for when in self._ranges() if keys.height else ():
            found = [ask(f"{_events(part)} AND {when}") for part in keys.iter_slices(_KEYS)]
            answers += found
            keys = keys.join(pl.concat(found), on="event_key", how="anti")
            if not keys.height:
                break
        return answers

    def _ranges(self) -> list[str]:
        """Conditions that together hold for every row, each for RANGE_ROWS or less, the newest first."""
        # ClickHouse answers this from what it knows of its parts.
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
    """Where the pieces of the month begin, the last first."""
    start = datetime(month // 100, month % 100, 1, tzinfo=UTC)
    return [start + timedelta(days=31) * place / pieces for place in reversed(range(pieces))]


def _sql(at: datetime) -> str:
    return f"'{at:%Y-%m-%d %H:%M:%S}'"


def _events(keys: pl.DataFrame) -> str:
    return f"event_key IN ({','.join(map(str, keys.get_column('event_key')))})"
