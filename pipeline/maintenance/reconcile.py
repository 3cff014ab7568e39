"""Reconcile: the rows of an event that landed beyond the dedup window become one (processors/one_row.py).

It looks at all events, by ranges of their keys, and then at those of which a row landed meanwhile: workers may run at the
same time, and what they write of these events is not lost (processors/one_row.py says why). A row that was moved keeps its text
until the last pass, SETTLE_S later; a run that is killed leaves that to the next one, or to control.

Cost: for each 2 million rows a scan of six columns, for each 5,000 such events a scan of event_key, and for each 50 MB of
their rows a read of those beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
from pipeline.sinks.changes import Changing, telling, unheard
from pipeline.sinks.one_row import SETTLE_S, Arrived, Reconciled, SeveralRows
from schemas.times import utc_now

CLOCKS = timedelta(seconds=60)
"""How far a worker's clock may differ from ours."""
PASSES = 10
THREADS = 1
"""Of a query: workers insert meanwhile."""


def reconcile(
    clickhouse: ClickHouseSettings,
    *,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
    settle_s: float = SETTLE_S,
    changing: Changing = unheard,
) -> Reconciled:
    """Makes each event one row. `progress` counts ranges of keys, `changing` hears of the rows that change.

    Raises UnreachableError without ClickHouse, EarshotError if ClickHouse refuses a query, and if workers keep landing events
    under other times.
    """
    client = clickhouse_client(clickhouse)
    try:
        check_tables(client)
        with one_line(client, AGAIN):
            return _Reconcile(client, dry_run, timedelta(seconds=settle_s), changing).run(progress)
    finally:
        client.close()


class _Reconcile:
    def __init__(self, client: Client, dry_run: bool, settle: timedelta, changing: Changing) -> None:
        ask, write = asker(client), inserting(client)
        self._rows = SeveralRows(lambda sql, settings: ask(sql, {"max_threads": THREADS, **settings}), telling(write, changing))
        self._dry_run, self._settle = dry_run, settle
        self.done = Reconciled()

    def run(self, progress: Progress) -> Reconciled:
        begun = utc_now()
        changed = self._pass(None, progress)
        for _ in range(PASSES):
            if not changed or self._dry_run:
                return self.done
            time.sleep(self._settle.total_seconds())
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
        progress(len(ranges), len(ranges))
        return changed


def inserting(client: Client) -> Callable[[pl.DataFrame], None]:
    """Inserts rows into table interactions. Raises ClickHouseError."""

    def insert(rows: pl.DataFrame) -> None:
        block = memoryview(arrow_stream(rows))
        client.raw_insert("interactions", rows.columns, block, fmt="ArrowStream")  # type: ignore[arg-type]  # urllib3 takes it

    return insert
