"""Reconcile: the rows of an event that landed beyond the dedup window become one (processors/one_row.py).

It looks at all events, by ranges of their keys, and then at those of which a row landed meanwhile: workers may run at the
same time, and what they write of these events is not lost (processors/one_row.py says why). A row that was moved keeps its text
until the last pass, SETTLE_S later; a run that is killed leaves that to the next one, or to control.

It rests after each query and each write, so that workers insert meanwhile: where its share of the time is 0.2, for four times
as long as it worked.

Cost: for each 2 million rows a scan of six columns, for each 5,000 such events a scan of event_key, and for each 50 MB of
their rows a read of those beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.arrow import arrow_stream
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import asker, one_line
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import EarshotError
from pipeline.maintenance.scan import AGAIN, Progress
from pipeline.sinks.one_row import SETTLE_S, Arrived, Reconciled, SeveralRows
from schemas.times import utc_now

CLOCKS = timedelta(seconds=60)
"""How far a worker's clock may differ from ours."""
PASSES = 10
SHARE = 0.2
"""Of the time in which it works, on one core of ClickHouse."""


def reconcile(
    clickhouse: ClickHouseSettings,
    *,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
    share: float = SHARE,
    settle_s: float = SETTLE_S,
) -> Reconciled:
    """Makes each event one row. `progress` counts ranges of keys; `share` of the time it works, above 0 and at most 1.

    Raises UnreachableError without ClickHouse, EarshotError if ClickHouse refuses a query, and if workers keep landing events
    under other times.
    """
    client = clickhouse_client(clickhouse)
    try:
        check_tables(client)
        with one_line(client, AGAIN):
            return _Reconcile(client, dry_run, share, timedelta(seconds=settle_s)).run(progress)
    finally:
        client.close()


class _Reconcile:
    def __init__(self, client: Client, dry_run: bool, share: float, settle: timedelta) -> None:
        self._ask, self._insert = asker(client), inserting(client)
        self._rest_for_second, self._rested_at = 1 / share - 1, time.monotonic()
        self._rows = SeveralRows(self._asked, self._insert, self._read)
        self._dry_run, self._settle = dry_run, settle
        self.done = Reconciled()

    def _read(self, sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        return self._ask(sql, {"max_threads": 1, **settings})

    def _asked(self, sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        rows = self._read(sql, settings)
        self._rest()
        return rows

    def _rest(self) -> None:
        """For all that was worked since the last rest."""
        time.sleep((time.monotonic() - self._rested_at) * self._rest_for_second)
        self._rested_at = time.monotonic()

    def run(self, progress: Progress) -> Reconciled:
        begun = utc_now()
        changed = self._pass(None, progress)
        for _ in range(PASSES):
            if not changed or self._dry_run:
                return self.done
            time.sleep(self._settle.total_seconds())
            self._rested_at = time.monotonic()
            arrived = Arrived(begun - CLOCKS, utc_now() + CLOCKS)
            begun = utc_now()
            changed = self._pass(arrived, lambda done, total: None)
        raise EarshotError("workers keep landing the same events under other times; " + AGAIN)

    def _pass(self, arrived: Arrived | None, progress: Progress) -> bool:
        """Whether an event had to be changed, beside blank rows."""
        changed, ranges = False, self._rows.ranges()
        for number, among in enumerate(ranges):
            progress(number, len(ranges))
            for plan in self._rows.plans(among, arrived, self._settle):
                self.done.add(plan)
                changed |= plan.kept.height + plan.moved.height > 0
                if not self._dry_run:
                    self._rows.apply(plan)
                self._rest()
        progress(len(ranges), len(ranges))
        return changed


def inserting(client: Client) -> Callable[[pl.DataFrame], None]:
    """Inserts rows into table interactions. Raises ClickHouseError."""

    def insert(rows: pl.DataFrame) -> None:
        block = memoryview(arrow_stream(rows))
        client.raw_insert("interactions", rows.columns, block, fmt="ArrowStream")  # type: ignore[arg-type]  # urllib3 takes it

    return insert
