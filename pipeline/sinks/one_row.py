"""Events with several rows in table interactions: which they are, and the versions that make them one (processors/one_row.py).

They are found by ranges of event_key: one query groups a bounded number of rows, and reads six columns of the table. Events
are then read and written a bounded number at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import COLUMNS_SQL, numbers
from pipeline.processors.merge import NEVER
from pipeline.processors.one_row import OneRow, one_row
from pipeline.sinks.landing import by_months
from schemas.times import TIME, to_ms

RANGE_ROWS = 2_000_000
"""Rows of a range, about: 200 MB to group their keys."""
EVENTS = 5_000
"""Events that are read at once."""
SETTLE_S = 60.0
"""So long after a row was moved no worker has a change on its way that it completed from the row before that."""
LIMITS: dict[str, object] = {
    "max_memory_usage": 1_000_000_000,
    # More rows than RANGE_ROWS say, as in a range that grew meanwhile, are grouped on disk.
    "max_bytes_before_external_group_by": 400_000_000,
}
# Not those that have been moved and are blank: nothing is left to do for them.
_SEVERAL = """
SELECT event_key FROM interactions WHERE {keys} AND (moved_to = 0 OR kind != ''){landed}
GROUP BY event_key HAVING min(cityHash64(created_at, topic, partition)) != max(cityHash64(created_at, topic, partition))
ORDER BY min(created_at)"""
_LANDED = "ingested_at >= fromUnixTimestamp64Milli({since}, 'UTC') AND ingested_at < fromUnixTimestamp64Milli({until}, 'UTC')"
_ROWS = """
SELECT {columns} FROM interactions WHERE event_key IN {keys} AND toStartOfMinute(created_at) IN
    (SELECT toStartOfMinute(created_at) FROM interactions WHERE event_key IN {keys})
ORDER BY version DESC LIMIT 1 BY event_key, created_at, topic, partition"""


class Arrived(NamedTuple):
    """Rows that landed from a time on, and before another."""

    since: datetime
    until: datetime

    def sql(self) -> str:
        """The condition."""
        return _LANDED.format(since=to_ms(self.since), until=to_ms(self.until))


@dataclass
class Reconciled:
    """What was done, or would be."""

    events: Counter[str] = field(default_factory=Counter)
    """Events whose rows became one, by source: by platform where it names none."""
    rows: int = 0
    """Rows that are moved to the row of their event."""

    def add(self, done: OneRow) -> None:
        """Counts what was written."""
        rows = pl.concat([done.kept, done.moved]).unique("event_key", keep="last")
        source = pl.when(pl.col("source_name") == "").then("platform").otherwise("source_name").fill_null("")
        self.events.update(rows.select(source).to_series().to_list())
        self.rows += done.moved.height


class SeveralRows:
    """The events with several rows. Raises what `ask` and `write` raise."""

    def __init__(self, ask: Ask, write: Callable[[pl.DataFrame], None]) -> None:
        """`write` inserts rows of a bounded number of months into table interactions."""
        self._ask, self._write = ask, write
        self._columns = ", ".join(f"`{name}`" for name in ask(COLUMNS_SQL, {}).get_column("name"))

    def ranges(self, arrived: Arrived | None = None) -> list[str]:
        """Conditions on event_key, which together cover every event."""
        where = arrived.sql() if arrived else "1"
        rows = self._ask(f"SELECT count() AS n FROM interactions WHERE {where}", {}).get_column("n")[0]
        count = max(1, -(-rows // RANGE_ROWS))
        bounds = [(1 << 64) * number // count for number in range(count + 1)]
        return [f"event_key BETWEEN {bounds[n]} AND {bounds[n + 1] - 1}" for n in range(count)]

    def keys(self, among: str, arrived: Arrived | None = None) -> Iterator[pl.Series]:
        """The events among these (`ranges`) that have several rows, and of which a row has `arrived`; EVENTS at a time."""
        landed = f" AND event_key IN (SELECT event_key FROM interactions WHERE {among} AND {arrived.sql()})" if arrived else ""
        found = self._ask(_SEVERAL.format(keys=among, landed=landed), LIMITS).get_column("event_key")
        for start in range(0, len(found), EVENTS):
            yield found.slice(start, EVENTS)

    def plan(self, keys: pl.Series, now: datetime, settled: timedelta) -> OneRow:
        """The versions that make each of these events one row."""
        rows = self._ask(_ROWS.format(columns=self._columns, keys=numbers(keys)), LIMITS)
        times = [name for name, type_ in rows.schema.items() if isinstance(type_, pl.Datetime)]
        return one_row(rows.with_columns(pl.col(times).cast(TIME)), now, now - settled)

    def apply(self, plan: OneRow) -> None:
        """Writes the versions: the row of an event before its other rows go. After a kill, `plan` says what is missing."""
        for rows in plan:
            for part in by_months(_written(rows)):
                if part.height:
                    self._write(part)


def _written(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as the table has them: blanks in place of nulls, where a column has no null."""
    lists = [pl.col(name).fill_null([]) for name, type_ in rows.schema.items() if isinstance(type_, pl.List)]
    times = [pl.col(name).fill_null(NEVER) for name, type_ in rows.schema.items() if type_ == TIME]
    return rows.with_columns(pl.col(pl.String).fill_null(""), *lists, *times)
