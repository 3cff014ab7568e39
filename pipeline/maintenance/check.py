"""`earshot check`: whether table account_events has each row of interactions, by hour; what it lacks is put right.

A view fills it with each insert. It stays short if the view's part failed and nobody repeated the insert: a worker was gone, or
new versions were written by a command. And it keeps keys of events that were deleted, or have another author since: harmless,
for who reads looks at the row; `repair` takes them away.

Workers may insert meanwhile: a difference counts if it is still there after a pause, and what is written has a version by which
a row that lands later wins. Cost: a scan of four columns of each table, with FINAL, and for each half a million rows of hours
that differ four more of account_events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.arrow import arrow_stream
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import LONG_SQL, frame, one_line
from pipeline.config.settings import ClickHouseSettings
from pipeline.maintenance.scan import Progress

ROWS_AT_ONCE = 500_000
"""Of hours that are looked at together."""
PAUSE_S = 2.0
"""An insert keeps its rows and those of the view one after the other."""
SETTINGS: dict[str, object] = {
    "do_not_merge_across_partitions_select_final": 1,
    "max_execution_time": 0,
    # Workers insert meanwhile.
    "max_threads": 1,
}
_KEY = "account_key, created_at, event_key"
_SUMS = f"""
SELECT toUnixTimestamp(toStartOfHour(created_at)) AS hour, count() AS rows, groupBitXor(cityHash64({_KEY})) AS sum
FROM {{table}} FINAL WHERE account_key != 0 AND {{where}} GROUP BY hour"""
_MONTHS = """
SELECT DISTINCT partition FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'interactions' ORDER BY partition"""
_LIVE = "interactions FINAL WHERE {hours} AND account_key != 0"
_KEPT = "account_events FINAL WHERE {hours}"
# The set after IN is read first: what lands in between counts as a difference until it is looked at again.
_MISSING = f"SELECT {_KEY}, version FROM {_LIVE} AND ({_KEY}) NOT IN (SELECT {_KEY} FROM {_KEPT})"
_STALE = f"""
SELECT {_KEY}, greatest(version, newest) AS version
FROM (SELECT {_KEY}, version FROM {_KEPT} AND ({_KEY}) NOT IN (SELECT {_KEY} FROM {_LIVE})) AS kept
LEFT JOIN
(
    SELECT event_key, toStartOfMinute(created_at) AS minute, max(version) AS newest
    FROM interactions WHERE {{hours}} GROUP BY event_key, minute
) AS rows ON kept.event_key = rows.event_key AND toStartOfMinute(kept.created_at) = rows.minute"""


class Hour(NamedTuple):
    """An hour of created_at in which the tables differ."""

    hour: datetime
    missing: int
    """Rows that account_events lacks."""
    stale: int
    """Rows of account_events whose event is deleted, or not that account's any more."""


def check_accounts(
    clickhouse: ClickHouseSettings,
    *,
    repair: bool = False,
    progress: Progress = lambda done, total: None,
    pause_s: float = PAUSE_S,
) -> list[Hour]:
    """The hours that differ, in order; with `repair` they do not any more. `progress` counts months.

    Raises UnreachableError without ClickHouse, MigrationError if `earshot migrate` has to run first, EarshotError if ClickHouse
    refuses a query; the hours repaired so far stay repaired.
    """
    client = clickhouse_client(clickhouse)
    try:
        check_tables(client)
        with one_line(client, "run the command again: what is repaired stays so"):
            return _Check(client, repair, pause_s).run(progress)
    finally:
        client.close()


class _Check:
    def __init__(self, client: Client, repair: bool, pause_s: float) -> None:
        self._client, self._repair, self._pause_s = client, repair, pause_s
        self._settings = SETTINGS | LONG_SQL

    def run(self, progress: Progress) -> list[Hour]:
        found = []
        for hours in _together(self._differing(progress)):
            missing, stale = self._confirmed(hours)
            found += _by_hour(missing, stale)
            if self._repair:
                self._write(missing.with_columns(is_deleted=pl.lit(0, pl.UInt8)))
                self._write(stale.with_columns(is_deleted=pl.lit(1, pl.UInt8)))
        return found

    def _differing(self, progress: Progress) -> pl.DataFrame:
        """The hours whose rows differ in number or keys: hour, rows."""
        kept = self._ask(_SUMS.format(table="account_events", where="1"))
        months = [month for (month,) in self._client.query(_MONTHS).result_rows]
        live = [kept.clear()]
        for number, month in enumerate(months):
            progress(number, len(months))
            live.append(self._ask(_SUMS.format(table="interactions", where=f"toYYYYMM(created_at) = {int(month)}")))
        progress(len(months), len(months))
        both = kept.join(pl.concat(live), on="hour", how="full", coalesce=True)
        same = (pl.col("rows") == pl.col("rows_right")) & (pl.col("sum") == pl.col("sum_right"))
        rows = pl.max_horizontal(pl.col("rows", "rows_right").fill_null(0))
        return both.filter(~same.fill_null(False)).select("hour", rows=rows).sort("hour")

    def _confirmed(self, hours: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that are missing, and those that are stale, now and after a pause; with the version to write."""
        first = [self._look(sql, hours) for sql in (_MISSING, _STALE)]
        if any(rows.height for rows in first):
            time.sleep(self._pause_s)
        missing, stale = (
            rows.join(self._look(sql, hours), on=_KEY.split(", "), how="semi") if rows.height else rows
            for sql, rows in zip((_MISSING, _STALE), first, strict=True)
        )
        return missing, stale

    def _look(self, sql: str, hours: list[int]) -> pl.DataFrame:
        within = f"toUnixTimestamp(toStartOfHour(created_at)) IN ({', '.join(map(str, hours))})"
        span = f"created_at >= toDateTime({hours[0]}) AND created_at < toDateTime({hours[-1] + 3600})"
        return self._ask(sql.format(hours=f"{span} AND {within}"))

    def _ask(self, sql: str) -> pl.DataFrame:
        return frame(self._client, sql, {}, self._settings)

    def _write(self, rows: pl.DataFrame) -> None:
        if rows.height:
            block = memoryview(arrow_stream(rows))
            self._client.raw_insert("account_events", rows.columns, block, fmt="ArrowStream")  # type: ignore[arg-type]


def _together(differing: pl.DataFrame) -> Iterator[list[int]]:
    """The hours in pieces of some ROWS_AT_ONCE."""
    piece = (differing.get_column("rows").cum_sum() - 1) // ROWS_AT_ONCE
    for part in differing.with_columns(piece=piece).partition_by("piece", maintain_order=True):
        yield part.get_column("hour").to_list()


def _by_hour(missing: pl.DataFrame, stale: pl.DataFrame) -> list[Hour]:
    hour = pl.col("created_at").dt.truncate("1h").alias("hour")
    counts = [rows.group_by(hour).agg(pl.len().alias(name)) for name, rows in (("missing", missing), ("stale", stale))]
    both = counts[0].join(counts[1], on="hour", how="full", coalesce=True).fill_null(0).sort("hour")
    return [Hour(*row) for row in both.select("hour", "missing", "stale").iter_rows()]
