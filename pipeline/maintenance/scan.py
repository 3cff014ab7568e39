"""Scans the stored rows in time order, a bounded number at a time, for rematch and rescore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from schemas.times import to_ms

CHUNK_ROWS = 50_000
EVER = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]
"""Called with the rows scanned so far and the rows in all."""
AGAIN = "rows written so far are kept: run the command again"

WHERE = """created_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ingested_at >= fromUnixTimestamp64Milli({arrived:Int64}, 'UTC')"""
IN_CHUNK = "toStartOfMinute(created_at) BETWEEN toDateTime({first:UInt32}, 'UTC') AND toDateTime({last:UInt32}, 'UTC')"
_DAYS = f"SELECT toString(toDate(created_at)) AS day, count() FROM interactions WHERE {WHERE} GROUP BY day ORDER BY day"
_MINUTES = f"""
SELECT toUnixTimestamp(toStartOfMinute(created_at)) AS minute, count() FROM interactions
WHERE {WHERE} AND toDate(created_at) = {{day:Date}}
GROUP BY minute ORDER BY minute"""


def chunks(client: Client, since: datetime, arrived: datetime, progress: Progress) -> Iterator[dict[str, object]]:
    """The values of WHERE and IN_CHUNK for each chunk of the rows created at or after `since` that arrived since `arrived`.

    `progress` counts a chunk when the caller takes the next one.
    """
    values: dict[str, object] = {"since": to_ms(since), "arrived": to_ms(arrived)}
    days = client.query(_DAYS, values).result_rows
    total, scanned = sum(count for _, count in days), 0
    progress(scanned, total)
    for day, _ in days:
        for first, last, count in _ranges(client.query(_MINUTES, values | {"day": day}).result_rows):
            yield values | {"first": first, "last": last}
            scanned += count
            progress(scanned, total)


def _ranges(minutes: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """Ranges of minutes with about CHUNK_ROWS rows each: first, last, rows."""
    start, count = 0, 0
    for index, (minute, rows) in enumerate(minutes):
        count += rows
        if count >= CHUNK_ROWS or index == len(minutes) - 1:
            yield minutes[start][0], minute, count
            start, count = index + 1, 0
