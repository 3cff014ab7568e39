"""Events with several rows in table interactions: which they are, and the versions that make them one (processors/one_row.py).

They are found by ranges of event_key: one query groups a bounded number of rows, and reads six columns of the table. Events
are then read and written some bytes at a time: one may have had a row each minute for a year.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import COLUMNS_SQL, minutes, numbers
from pipeline.processors.merge import NEVER
from pipeline.processors.one_row import OneRow, one_row
from pipeline.sinks.landing import by_months
from schemas.times import TIME, to_ms, utc_now

RANGE_ROWS = 2_000_000
"""Rows of a range, about: 200 MB to group their keys."""
EVENTS = 5_000
"""Events whose rows are counted at once."""
BYTES, MOST_BYTES = 50_000_000, 250_000_000
"""Of the rows that are read at once, about, and the most that those of one event may have: it is left as it is."""
SETTLE_S = 60.0
"""So long after a row was moved no worker has a change on its way that it completed from the row before that."""
LIMITS: dict[str, object] = {
    "max_memory_usage": 1_000_000_000,
    # More rows than RANGE_ROWS say, as in a range that grew meanwhile, are grouped on disk.
    "max_bytes_before_external_group_by": 400_000_000,
}
log = logging.getLogger("earshot.clickhouse")
# Not those that have been moved and are blank: nothing is left to do for them.
_SEVERAL = """
SELECT event_key FROM interactions WHERE {keys} AND (moved_to = 0 OR kind != ''){landed}
GROUP BY event_key HAVING min(cityHash64(created_at, topic, partition)) != max(cityHash64(created_at, topic, partition))
ORDER BY min(created_at)"""
_LANDED = "ingested_at >= fromUnixTimestamp64Milli({since}, 'UTC') AND ingested_at < fromUnixTimestamp64Milli({until}, 'UTC')"
_SIZES = """
SELECT event_key, groupUniqArray(1000 * toInt64(toUnixTimestamp(toStartOfMinute(created_at)))) AS minutes,
    sum(length(text) + length(original) + 2000) AS bytes
FROM interactions WHERE event_key IN {keys} GROUP BY event_key ORDER BY min(created_at)"""
_ROWS = """
SELECT {columns} FROM interactions WHERE event_key IN {keys} AND {minutes}
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

    def __init__(self, ask: Ask, write: Callable[[pl.DataFrame], None], read: Ask | None = None) -> None:
        """`write` inserts rows of a bounded number of months into table interactions. `read` is for the rows of events, where
        `ask` rests after each query."""
        self._ask, self._write, self._read = ask, write, read or ask
        self._columns = ", ".join(f"`{name}`" for name in ask(COLUMNS_SQL, {}).get_column("name"))

    def ranges(self, arrived: Arrived | None = None) -> list[str]:
        """Conditions on event_key, which together cover every event."""
        where = arrived.sql() if arrived else "1"
        rows = self._ask(f"SELECT count() AS n FROM interactions WHERE {where}", {}).get_column("n")[0]
        count = max(1, -(-rows // RANGE_ROWS))
        bounds = [(1 << 64) * number // count for number in range(count + 1)]
        return [f"event_key BETWEEN {bounds[n]} AND {bounds[n + 1] - 1}" for n in range(count)]

    def plans(self, among: str, arrived: Arrived | None, settled: timedelta) -> Iterator[OneRow]:
        """The versions that make each of these events (`ranges`) one row, if a row of it has `arrived`: of some events at a
        time. To be written at once: a label or a rematch of a row that was read before is lost."""
        for sizes in self._sizes(among, arrived):
            keys, there = numbers(sizes.get_column("event_key")), minutes(sizes.get_column("minutes").explode().cast(TIME))
            now = utc_now()  # before the rows are read: a change that lands after that hides no row that had settled
            rows = self._read(_ROWS.format(columns=self._columns, keys=keys, minutes=there), LIMITS)
            times = [name for name, type_ in rows.schema.items() if isinstance(type_, pl.Datetime)]
            yield one_row(rows.with_columns(pl.col(times).cast(TIME)), now, now - settled)

    def _sizes(self, among: str, arrived: Arrived | None) -> Iterator[pl.DataFrame]:
        """The events with several rows, of about BYTES each time."""
        landed = f" AND event_key IN (SELECT event_key FROM interactions WHERE {among} AND {arrived.sql()})" if arrived else ""
        found = self._ask(_SEVERAL.format(keys=among, landed=landed), LIMITS).get_column("event_key")
        for start in range(0, len(found), EVENTS):
            sizes = self._ask(_SIZES.format(keys=numbers(found.slice(start, EVENTS))), LIMITS)
            for key, size in sizes.filter(pl.col("bytes") > MOST_BYTES).select("event_key", "bytes").iter_rows():
                log.warning("the rows of event_key %d stay as they are: they have %d MB", key, size // 1_000_000)
            sizes = sizes.filter(pl.col("bytes") <= MOST_BYTES)
            for _, part in sizes.group_by(pl.col("bytes").cum_sum() // BYTES, maintain_order=True):
                yield part

    def apply(self, plan: OneRow) -> None:
        """Writes the versions: the row of an event before its other rows go. After a kill, `plans` say what is missing."""
        for rows in plan:
            for part in by_months(_written(rows)):
                if part.height:
                    self._write(part)


def _written(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as the table has them: blanks in place of nulls, where a column has no null."""
    lists = [pl.col(name).fill_null([]) for name, type_ in rows.schema.items() if isinstance(type_, pl.List)]
    times = [pl.col(name).fill_null(NEVER) for name, type_ in rows.schema.items() if type_ == TIME]
    return rows.with_columns(pl.col(pl.String).fill_null(""), *lists, *times)
