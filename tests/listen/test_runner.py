"""One source, its records and its clock, with a driver that gives what the test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.errors import UnreachableError
from pipeline.kafka.topics import migrate_topics
from pipeline.listen.driver import Page
from pipeline.listen.keep import Mentioning
from pipeline.listen.record import Newest, Record
from pipeline.listen.rest import Access
from pipeline.listen.runner import Means, Runner
from pipeline.listen.sender import Sender
from pipeline.listen.source import Cost
from pipeline.listen.spending import Spending
from pipeline.listen.tables import Tables
from pipeline.listen.timer import Timer
from pipeline.monitoring.health import Vitals
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.driving import source
from tests.support.listener import sent

pytestmark = pytest.mark.timeout(120)
SOURCE = source(name="blog", platform="rss", url="https://blog.example.org/feed", every="1m")
FIRST = Record("blog", SOURCE.what(), 1)


class SetBack(Timer):
    """A clock, `ahead` of the right one; waits of the source take no time, and are noted."""

    def __init__(self, ahead: float) -> None:
        self.ahead, self.waits = ahead, list[float]()

    def now(self) -> float:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.01)


class Polls:
    """A poll gives one page: the item with this text; during it the clock is set right."""

    origin = Origin()

    def __init__(self, timer: SetBack, texts: list[str]) -> None:
        self._timer, self._texts = timer, texts
        self.meanwhile: Callable[[], None] = lambda: None
        """Another listener may run the source from now on."""

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        if self._texts:
            yield Page([self._texts.pop(0)], {"left": len(self._texts)})
        self._timer.ahead = 0.0

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        for page in list[Page]():
            yield page

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        pass


class Lost(Polls):
    """A poll, while it waits for whose first answer the source goes to another listener."""

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        if self._texts[:1] == ["stale"]:
            self.meanwhile()
        async with aclosing(super().pages(cursor)) as pages:
            async for page in pages:
                yield page


class Streams(Polls):
    """A stream that gives a page again and again; after the first one the clock is set right."""

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        for number in count(1):
            yield Page([f"text {number}"], {"number": number})
            self._timer.ahead = 0.0
            await asyncio.sleep(0.05)


class Bills(Polls):
    """Each poll gives three items that cost one dollar each."""

    def __init__(self, timer: SetBack, spending: Spending) -> None:
        super().__init__(timer, [])
        self.polls, self._spending = 0, spending

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        with self._spending.room(3, 3):
            self.polls += 1
            self._spending.paid([f"{self.polls} {number}" for number in range(3)])
        yield Page([f"text {self.polls}"], {"number": self.polls})


began, others_went_on, was_waited_for = threading.Event(), threading.Event(), list[bool]()


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    created = "2026-01-01T00:00:00Z"
    if payload == "it takes long":
        began.set()
        was_waited_for.append(others_went_on.wait(20))
    yield Observation({"platform": "rss", "id": "1", "kind": "post", "created_at": created, "text": payload})


def away() -> Client:
    raise UnreachableError("no ClickHouse in this test")


async def ran(
    settings: Settings,
    record: Record,
    timer: SetBack,
    driver: Polls,
    done: Callable[[Runner], bool],
    spending: Spending | None = None,
) -> Runner:
    """A runner, after it has run until it is done."""
    await asyncio.to_thread(migrate_topics, settings.kafka)
    sender, tables = Sender(settings.kafka, Vitals()), Tables(away)
    means = Means(sender, tables, timer, Mentioning(load_brands(SAMPLE_BRANDS)), Newest(), settings.kafka.partitions)
    access = Access(lambda: driver, lambda: SecretStr(""), spending=spending)
    driver.meanwhile = sender.give_up
    runner = Runner(SOURCE, record, access, observe, means)
    task = asyncio.create_task(runner.run())
    try:
        while not done(runner):
            await asyncio.sleep(0.05)
            assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await tables.close()
        await sender.close()
    return runner


async def test_a_source_rests_for_one_poll_though_the_clock_was_set_back(settings: Settings) -> None:
    timer = SetBack(3_600.0)
    polls = Polls(timer, ["It leaks", "It leaks still"])
    runner = await ran(settings, FIRST, timer, polls, lambda _: len(timer.waits) > 2)
    assert max(timer.waits) <= 60.0
    assert runner.record.cursor == {"live": {"left": 0}} and runner.record.epoch == 1
    create, update = sent(settings)
    assert (create["operation"], update["operation"]) == ("create", "update")


async def test_what_was_asked_for_before_a_source_went_to_another_listener_is_not_sent(settings: Settings) -> None:
    timer = SetBack(0.0)
    await ran(settings, FIRST, timer, Lost(timer, ["stale", "newer"]), lambda runner: runner.health.events > 0)
    assert [event["text"] for event in sent(settings)] == ["newer"]


async def test_a_stream_goes_on_writing_how_far_it_is_though_the_clock_was_set_back(settings: Settings) -> None:
    timer = SetBack(3_600.0)

    def wrote(runner: Runner) -> bool:
        return bool(runner.record.cursor.get("live", {}).get("number", 0) > 1)

    await ran(settings, FIRST, timer, Streams(timer, []), wrote)


async def test_after_an_owner_whose_clock_was_ahead_its_changes_do_not_hide_the_next_ones(settings: Settings) -> None:
    timer = SetBack(0.0)
    ahead = int((timer.now() + 3_600) * 1000)
    left = replace(FIRST, epoch=2, at=ahead)
    runner = await ran(settings, left, timer, Polls(timer, ["It leaks"]), lambda _: len(timer.waits) > 0)
    assert runner.record.at > ahead + 60_000, "the last owner may have sent changes for one poll after its last record"


async def test_a_months_sum_that_is_spent_is_in_the_record_and_the_state_says_until_when(settings: Settings) -> None:
    timer, cost = SetBack(0.0), Cost("USD", 1.0, 7.0)
    timer.ahead = datetime(2026, 11, 20, tzinfo=UTC).timestamp() - timer.now()
    record = FIRST
    for epoch, polls in ((2, 2), (3, 0)):
        spending = Spending(timer, cost, record.cursor.get("spent"))
        bills = Bills(timer, spending)
        runner = await ran(settings, record, timer, bills, lambda found: found.health.state == "waiting", spending)
        assert bills.polls == polls and (health := runner.health).reason == "its budget for November is spent"
        assert health.until is not None and abs(health.until - datetime(2026, 12, 1, tzinfo=UTC)) < timedelta(minutes=1)
        assert runner.record.cursor["spent"]["months"] == {"2026-11": 6}
        record = replace(runner.record, epoch=epoch, number=0)
    timer.ahead += 12 * 86_400
    bills = Bills(timer, spending)
    await ran(settings, record, timer, bills, lambda found: found.health.state == "waiting", spending)
    assert bills.polls == 2 and spending.dump()["spent"]["months"] == {"2026-11": 6, "2026-12": 6}


async def test_a_page_that_takes_long_to_map_keeps_the_loop_from_nobody(settings: Settings) -> None:
    timer = SetBack(0.0)

    async def others() -> None:
        while not began.is_set():
            await asyncio.sleep(0.01)
        others_went_on.set()

    other = asyncio.create_task(others())
    await ran(settings, FIRST, timer, Polls(timer, ["it takes long"]), lambda _: len(timer.waits) > 0)
    await other
    assert was_waited_for == [True] and len(sent(settings)) == 1
