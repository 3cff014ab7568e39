"""Going through the stored rows in time order, a bounded number at a time: what rematch and rescore have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

CHUNK_ROWS = 50_000
EVER = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]
"""Rows gone through, and rows in all."""
AGAIN = "rows written so far are kept: run the command again"

WHERE = """created_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ingested_at >= fromUnixTimestamp64Milli({arrived:Int64}, 'UTC')"""
IN_CHUNK = "toStartOfMinute(created_at) BETWEEN toDateTime({first:UInt32}, 'UTC') AND toDateTime({last:UInt32}, 'UTC')"
_DAYS = f"SELECT toString(toDate(created_at)) AS day, count() FROM interactions WHERE {WHERE} GROUP BY day ORDER BY day"
_MINUTES = f"""
SELECT toUnixTimestamp(toStartOfMinute(created_at)) AS minute, count() FROM interactions
WHERE {WHERE} AND toDate(created_at) = {{day:Date}}
GROUP BY minute ORDER BY minute"""


def chunks(client: Client, since: datetime, arrived: datetime, tell: Progress) -> Iterator[dict[str, Any]]:
    """The values of WHERE and IN_CHUNK for each chunk of the rows created at or after `since` that arrived since `arrived`.

    `tell` hears of a chunk when the next one is asked for.
    """
    values = {"since": _ms(since), "arrived": _ms(arrived)}
    days = client.query(_DAYS, values).result_rows
    total, gone = sum(count for _, count in days), 0
    tell(gone, total)
    for day, _ in days:
        for first, last, count in _ranges(client.query(_MINUTES, values | {"day": day}).result_rows):
            yield values | {"first": first, "last": last}
            gone += count
            tell(gone, total)


def _ranges(minutes: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int, int]]:
    """Ranges of minutes (first, last) with about CHUNK_ROWS rows each, and how many."""
    start, count = 0, 0
    for place, (minute, rows) in enumerate(minutes):
        count += rows
        if count >= CHUNK_ROWS or place == len(minutes) - 1:
            yield minutes[start][0], minute, count
            start, count = place + 1, 0


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
