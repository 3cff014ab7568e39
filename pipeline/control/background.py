"""Background: searches for campaigns, and windows whose events came late. Both run in the background, and must not slow the
evaluation down: each takes a share of the time at most, on a thread, and one core of ClickHouse."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.control.notifier import Notifier
from pipeline.errors import EarshotError
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.processors.alerts.backtest.judge import Backtest
from pipeline.processors.alerts.campaign_search import due_searches, search
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import OverTimeRule
from schemas.times import utc_now

CAMPAIGN_EVERY_S = 2.0
CAMPAIGN_SHARE = 0.05
CAMPAIGN_QUERY_S = 5
"""The longest that one query of a campaign search may run."""
LATE_EVERY_S = 5.0
LATE_SHARE = 0.1
T = TypeVar("T")
log = logging.getLogger("earshot.control")


class Background:
    """Runs work on a thread for `share` of the time at most: where the share is 0.1, a rest of nine times as long follows.

    `query` is for the work's questions to ClickHouse; `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        share: float,
        query: Ask,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.query = query
        self._rest_for_second = 1 / share - 1
        self._clock, self._sleep = clock, sleep
        self._owed_s = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, after which `rest` is due."""
        started = self._clock()
        try:
            return await asyncio.to_thread(work)
        finally:
            self._owed_s += (self._clock() - started) * self._rest_for_second

    async def rest(self, most_s: float = float("inf")) -> None:
        """Sleeps for as long as the work so far asks, `most_s` at most; the next rest adds the difference."""
        seconds = min(self._owed_s, most_s)
        self._owed_s -= seconds
        await self._sleep(seconds)

    async def run_steps(self, steps: Iterator[object]) -> None:
        """Runs a long piece of work; a quarter of the rest comes after each step, the remainder is due at the end."""
        while True:
            owed_s = self._owed_s
            if await self.run(partial(next, steps, None)) is None:
                return
            await self.rest((self._owed_s - owed_s) / 4)


def query_of(leader: Leader, ask: Ask, **settings: object) -> Ask:
    """Asks by one core of ClickHouse. Raises GivenUp once this process does not lead: no search may keep it from its end."""

    def query(sql: str, more: Mapping[str, object]) -> pl.DataFrame:
        leader.check()
        return ask(sql, {"max_threads": 1, **settings, **more})

    return query


class Campaigns:
    """Looks for campaigns in the brands that were touched: brand by brand, because a search among many texts takes seconds."""

    def __init__(self, leader: Leader, evaluator: Evaluator, notifier: Notifier, background: Background) -> None:
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._background = background

    async def run(self) -> None:
        """Searches again and again. An error of ClickHouse costs one round."""
        while True:
            await asyncio.sleep(CAMPAIGN_EVERY_S)
            try:
                await self.search()
            except (EarshotError, GivenUp) as error:
                log.warning("no search for campaigns: %s", error)

    async def search(self) -> None:
        """One round: each due brand is searched, and its campaigns are published."""

        def query(sql: str) -> pl.DataFrame:
            return self._background.query(sql, {})

        if (due := await self._leader.on_thread(self._evaluator.campaigns_due)) is None:
            return
        for rule, brand in await self._background.run(partial(due_searches, query, due)):
            campaigns = await self._background.run(partial(search, query, rule, brand, self._evaluator.watermark))
            raise_ = partial(self._evaluator.raise_campaigns, campaigns, utc_now())
            self._notifier.publish(await self._leader.on_thread(raise_))
            await self._background.rest()


class LateWindows:
    """Evaluates windows again that events touched an hour late or more: by a backtest, a day at a time.

    Its alerts are historical: they are in the tables, and nobody is notified.
    """

    def __init__(self, leader: Leader, evaluator: Evaluator, notifier: Notifier, background: Background) -> None:
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._background = background

    async def run(self) -> None:
        """Evaluates again and again. An error of ClickHouse costs one day's windows."""
        while True:
            await asyncio.sleep(LATE_EVERY_S)
            try:
                await self.evaluate()
            except (EarshotError, GivenUp) as error:
                log.warning("late windows were not evaluated: %s", error)

    async def evaluate(self) -> None:
        """One day, once it is quiet."""
        span = await self._leader.on_thread(lambda: self._evaluator.late_span(utc_now()))
        if span is None:
            return
        config = self._evaluator.config
        windowed = tuple(rule for rule in config.rules if isinstance(rule, OverTimeRule))
        backtest = Backtest(self._background.query, config.model_copy(update={"rules": windowed}), *span)
        await self._background.run_steps(backtest.steps())
        record = partial(self._evaluator.record, backtest.alerts, utc_now())
        self._notifier.record(await self._leader.on_thread(record))
        await self._background.rest()
