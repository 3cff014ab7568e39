"""What landed since its last run is reconciled by the leader: several rows of an event become one (processors/one_row.py)."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from pipeline.clickhouse.query import Ask
from pipeline.control.background import STEP_REST_S, Background, PacedQuery, query_of
from pipeline.errors import EarshotError, reason
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import metrics
from pipeline.processors.one_row import OneRow
from pipeline.sinks.alerts import RECONCILED, AlertTables
from pipeline.sinks.changes import Changing, telling
from pipeline.sinks.one_row import SETTLE_S, Arrived, Reconciled, SeveralRows
from schemas.times import utc_now

RECONCILE_EVERY_S = 60.0
RECONCILE_SHARE = 0.05
RECONCILE_QUERY_S = 60
"""The longest that one query may run."""
LATE = timedelta(seconds=2 * SETTLE_S)
"""Rows are looked at so long after they landed: their insert may have been repeated, and what was moved then has settled."""
AT_ONCE = timedelta(hours=1)
log = logging.getLogger("earshot.control")


class Reconciling:
    """By the time at which rows landed, an hour at most at a time; how far it is, is in table alert_watermarks. It begins with
    what lands after the first start of all: `earshot reconcile` is for what was there.

    Restart: from the last window that ended; a window may be done again. A window that fails comes again later."""

    def __init__(self, leader: Leader, tables: AlertTables, ask: Ask, background: Background, changing: Changing) -> None:
        self._leader, self._tables, self._ask, self._background = leader, tables, ask, background
        self._changing = changing

    async def run(self, generation: int) -> None:
        """Reconciles again and again, in this generation."""
        stop = threading.Event()
        try:
            while True:
                await asyncio.sleep(RECONCILE_EVERY_S)
                try:
                    await self.step(generation, stop)
                except GivenUp:
                    raise
                except Exception as error:  # the live evaluation must not end for it
                    metrics.RECONCILE_FAILED.inc()
                    unexpected = not isinstance(error, EarshotError)
                    log.warning("rows were not reconciled: %s; will be retried", reason(error), exc_info=unexpected)
                    await self._background.rest()
        finally:
            stop.set()

    async def step(self, generation: int, stop: threading.Event) -> None:
        """The next window, if there is one; `stop` ends the rests of its queries."""
        now = utc_now()
        since = await self._leader.on_thread(partial(self._tables.watermark, RECONCILED))
        if since is not None and since > now:  # the clock was set back, and rows may have landed since
            since = now - AT_ONCE
        until = now - LATE if since is None else min(now - LATE, since + AT_ONCE)
        if since is not None:
            metrics.RECONCILE_AGE.set((now - since).total_seconds())
            if until <= since:
                return
            await self._window(Arrived(since, until), generation, stop)
        await self._leader.on_thread(partial(self._tables.keep_watermark, until, now, generation, RECONCILED))
        await self._background.rest()

    async def _window(self, arrived: Arrived, generation: int, stop: threading.Event) -> None:
        ask = query_of(self._leader, self._ask, max_execution_time=RECONCILE_QUERY_S)
        query = self._background.pace(ask, stop)
        write = partial(self._leader.inserter.insert_all, "interactions", generation=generation)
        rows = await self._background.run(partial(SeveralRows, query, telling(write, self._changing), ask), query)
        plans, done = _plans(rows, arrived), Reconciled()
        while (plan := await self._next(plans, query)) is not None:
            done.add(plan)
            await self._leader.on_thread(partial(rows.apply, plan))
            await self._background.rest(STEP_REST_S)
        metrics.RECONCILED_ROWS.inc(done.rows)

    async def _next(self, plans: Iterator[OneRow], query: PacedQuery) -> OneRow | None:
        return await self._background.run(partial(next, plans, None), query)


def _plans(rows: SeveralRows, arrived: Arrived) -> Iterator[OneRow]:
    for among in rows.ranges(arrived):
        yield from rows.plans(among, arrived, timedelta(seconds=SETTLE_S))
