"""Background: searches for campaigns, and windows whose events came late. Both run in the background, and must not slow the
evaluation down: each takes a share of the time at most, on a thread, and one core of ClickHouse."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.control.notifier import Notifier
from pipeline.errors import EarshotError, reason
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import metrics
from pipeline.processors.alerts.backtest.judge import Backtest
from pipeline.processors.alerts.campaign_search import CampaignFinder
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rule_types import OverTimeRule
from schemas.times import utc_now

CAMPAIGN_EVERY_S = 2.0
CAMPAIGN_SHARE = 0.05
CAMPAIGN_QUERY_S = 5
"""The longest that one query of a campaign search may run."""
LATE_EVERY_S = 5.0
LATE_SHARE = 0.1
MOST_REST_S = 300.0
"""The longest rest: slow work, or a process that was stopped for a while, keeps no later work waiting."""
LATE_QUERY_S = 60
"""The longest that one query of a backtest may run."""
STEP_REST_S = 3_600.0
"""The longest rest within a backtest, after a query or a step: more than its share asks for, unless the process was stopped."""
T = TypeVar("T")
log = logging.getLogger("earshot.control")


class Background:
    """Runs work on a thread for `share` of the time at most: where the share is 0.1, a rest of nine times as long follows.

    Only the work before it counts for a rest, failed work as well. `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rest_for_second = 1 / share - 1
        self._clock, self._sleep = clock, sleep
        self._owed_s = 0.0

    async def run(self, work: Callable[[], T], paced: PacedQuery | None = None) -> T:
        """The result of `work`, after which `rest` is due. The rests of `paced`, the work's query, count as rests."""
        self._owed_s = 0.0
        started, before_s = self._clock(), paced.rested_s if paced else 0.0
        try:
            return await asyncio.to_thread(work)
        finally:
            rested_s = paced.rested_s - before_s if paced else 0.0
            worked_s = self._clock() - started - rested_s
            self._owed_s = max(0.0, worked_s * self._rest_for_second - rested_s)

    async def rest(self, most_s: float = MOST_REST_S) -> None:
        """Sleeps for as long as the work before asks, `most_s` at most; the remainder is forgotten."""
        seconds, self._owed_s = min(self._owed_s, most_s), 0.0
        await self._sleep(seconds)

    async def run_steps(self, steps: Iterator[object], paced: PacedQuery) -> None:
        """Runs a long piece of work, with a rest after each step; the rest for its end is due."""
        while await self.run(partial(next, steps, None), paced) is not None:
            await self.rest(STEP_REST_S)

    def pace(self, ask: Ask, stop: threading.Event) -> PacedQuery:
        """`ask` with rests by this share; `stop` ends them at once."""
        return PacedQuery(ask, self._rest_for_second, stop, self._clock)


class PacedQuery:
    """An Ask that rests after each query, on the thread of its caller: a step of a backtest may ask hundreds of times."""

    def __init__(self, ask: Ask, rest_for_second: float, stop: threading.Event, clock: Callable[[], float]) -> None:
        self._ask, self._rest_for_second, self._stop, self._clock = ask, rest_for_second, stop, clock
        self.rested_s = 0.0
        """All rests so far."""

    def __call__(self, sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        started = self._clock()
        rows = self._ask(sql, settings)
        answered = self._clock()
        self._stop.wait(min(STEP_REST_S, (answered - started) * self._rest_for_second))
        self.rested_s += self._clock() - answered
        return rows


def query_of(leader: Leader, ask: Ask, **settings: object) -> Ask:
    """Asks by one core of ClickHouse. Raises GivenUp once the leadership that is served now ends: no search may keep the
    process from its end, and none goes on under the next leadership."""
    check = leader.bound_check()

    def query(sql: str, more: Mapping[str, object]) -> pl.DataFrame:
        check()
        return ask(sql, {"max_threads": 1, **settings, **more})

    return query


class Campaigns:
    """Looks for campaigns in all touched windows, by stretches of minutes. A slow search makes the next one later; the minutes
    of a failed one wait, and keep no others waiting."""

    def __init__(
        self, leader: Leader, evaluator: Evaluator, notifier: Notifier, ask: Ask, background: Background
    ) -> None:  # fmt: skip
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._ask, self._background = ask, background
        self._finder = CampaignFinder()

    async def run(self) -> None:
        """Searches again and again. What an error of ClickHouse kept from a search is searched later."""
        self._finder = CampaignFinder()  # another process may have led meanwhile
        while True:
            await asyncio.sleep(CAMPAIGN_EVERY_S)
            try:
                await self.search()
            except (EarshotError, GivenUp) as error:
                log.warning("no search for campaigns: %s", error)
                await self._background.rest()

    async def search(self) -> None:
        """One search; its campaigns are published."""

        ask = query_of(self._leader, self._ask, max_execution_time=CAMPAIGN_QUERY_S)

        def query(sql: str) -> pl.DataFrame:
            return ask(sql, {})

        if (due := await self._leader.on_thread(self._evaluator.campaigns_due)) is None:
            return
        before = self._finder.left_out
        try:
            with metrics.CAMPAIGN_SECONDS.time():
                matches = await self._background.run(partial(self._finder.search, query, due))
        except EarshotError:
            await self._leader.on_thread(self._evaluator.campaigns.failed)
            raise
        metrics.CAMPAIGN_LEFT_OUT.inc(self._finder.left_out - before)
        raise_ = partial(self._evaluator.raise_campaigns, matches, utc_now())
        self._notifier.publish(await self._leader.on_thread(raise_))
        await self._background.rest()


class LateWindows:
    """Evaluates windows again that events touched an hour late or more: by a backtest, a day at a time.

    Its alerts are historical: they are in the tables, and nobody is notified.
    """

    def __init__(
        self, leader: Leader, evaluator: Evaluator, notifier: Notifier, ask: Ask, background: Background
    ) -> None:  # fmt: skip
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._ask, self._background = ask, background

    async def run(self) -> None:
        """Evaluates again and again. A day whose backtest fails comes again later."""
        stop = threading.Event()
        try:
            while True:
                await asyncio.sleep(LATE_EVERY_S)
                try:
                    await self.evaluate(stop)
                except (EarshotError, GivenUp) as error:
                    log.warning("late windows were not evaluated: %s", error)
                    await self._background.rest()
        finally:
            stop.set()  # the end of the process does not wait for a rest on the thread

    async def evaluate(self, stop: threading.Event) -> None:
        """The due day that has waited longest; `stop` ends the rests of its queries."""
        query = self._background.pace(query_of(self._leader, self._ask, max_execution_time=LATE_QUERY_S), stop)
        span = await self._leader.on_thread(lambda: self._evaluator.late_span(utc_now()))
        if span is None:
            return
        config = self._evaluator.config
        windowed = tuple(rule for rule in config.rules if isinstance(rule, OverTimeRule))
        backtest = Backtest(query, config.model_copy(update={"rules": windowed}), *span, self._evaluator.zones)
        try:
            await self._background.run_steps(backtest.steps(), query)
        except GivenUp:
            raise
        except Exception as error:  # of one day: the live evaluation must not end for it
            metrics.LATE_DAYS_FAILED.inc()
            unexpected = not isinstance(error, EarshotError)
            log.warning("late windows of %s: %s; will be retried", span[0].date(), reason(error), exc_info=unexpected)
            return
        record = partial(self._evaluator.record, backtest.alerts, utc_now())
        self._notifier.record(await self._leader.on_thread(record))
        await self._background.rest()
