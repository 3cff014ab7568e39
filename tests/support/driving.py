"""Runs a driver without a listener, as a runner does: its pages through its mapper, from the cursor that its last page left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import orjson
from pydantic import SecretStr, TypeAdapter

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Limits, Outgoing
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Driver, Gap, Page, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.sources_file import AnySource
from pipeline.listen.spending import Spending
from pipeline.listen.states import SourceError, Spent, Waiting
from pipeline.listen.timer import Timer, text_of
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation, Unreadable
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject

PATIENCE_S = 60.0
"""The longest wait: a busy machine takes many times as long as an idle one."""

SHORT = Limits(total_s=5.0)
"""For a server that stalls: short enough to wait for, and longer than a busy machine takes for an answer."""


class Fast(Timer):
    """A clock that a test moves `ahead`. Waits of up to a minute take no time."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds if seconds > 60 else min(seconds, 0.05))


@dataclass
class Driven:
    """What came of a source so far, over several starts of it."""

    source: AnySource
    token: str = ""
    others: tuple[AnySource, ...] = ()
    beside: frozenset[str] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    timer: Fast = field(default_factory=Fast)
    events: list[JsonObject] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    cursors: dict[str, JsonObject] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    limit: Limit = field(default_factory=Limit)
    spent: JsonObject = field(default_factory=dict)
    """What its record says of its cost: each start counts on from it."""
    shared: dict[str, object] = field(default_factory=dict)
    pages: int = 0
    unreadable: int = 0

    @property
    def operations(self) -> Counter[str]:
        """How many events of each operation."""
        return Counter(event["operation"] for event in self.events)

    @property
    def texts(self) -> list[str]:
        """Of the creates, in order."""
        return [event.get("text", "") for event in self.events if event["operation"] == "create"]

    def run(self, until: Callable[[], bool] = lambda: False, part: str = "live", since: float = 0.0, starts: int = 50) -> None:
        """Polls or streams until the condition holds, again after each error; without a condition one poll to its end. Each
        start has a driver of its own. Fails after PATIENCE_S."""
        asyncio.run(self._run(until, part, since, starts))

    def poll(self, starts: int = 1) -> list[JsonObject]:
        """The events of one poll to its end. Raises its last error, if it fails at each of `starts` starts."""
        return self._came("live", 0.0, starts)

    def backfill(self, since: float, starts: int = 1) -> list[JsonObject]:
        """The events of the past, as `poll`."""
        return self._came("back", since, starts)

    def _came(self, part: str, since: float, starts: int) -> list[JsonObject]:
        events, errors = len(self.events), len(self.errors)
        self.run(part=part, since=since, starts=starts)
        if len(self.errors) - errors == starts:
            raise self.errors[-1]
        return self.events[events:]

    def check(self) -> str:
        """What the driver's check says."""

        async def said() -> str:
            async with self._reach() as reach:
                driver = make_driver(self.source, reach)
                line = await driver.check()
                await driver.close()
            return line

        return asyncio.run(said())

    async def keep_on(self) -> None:
        """Polls or streams, start after start, beside others in one event loop, until it is cancelled."""
        async with self._reach() as reach:
            while True:
                await self._start(replace(reach, beside=self.beside), lambda: False, "live", 0.0)
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[Reach]:
        client, feeds = Outgoing(), FeedParser()
        spending = Spending(self.timer, self.source.cost, self.spent.get("spent"))
        api = Api(client, self.source.name, self.timer, self.limit, Allowed.of(("127.0.0.1",)), spending)
        try:
            async with asyncio.timeout(PATIENCE_S):
                token = SecretStr(self.token)
                yield Reach(api, token, self.timer, feeds, self.shared, self.beside, lambda: self.others, self.environ)
        finally:
            self.spent = orjson.loads(orjson.dumps(spending.dump()))
            await client.close()
            await feeds.close()

    async def _run(self, until: Callable[[], bool], part: str, since: float, starts: int) -> None:
        async with self._reach() as reach:
            for _ in range(starts):
                if await self._start(reach, until, part, since) or until():
                    return

    async def _start(self, reach: Reach, until: Callable[[], bool], part: str, since: float) -> bool:
        """Whether the poll came to its end, or the condition holds."""
        driver = make_driver(self.source, replace(reach, api=replace(reach.api, is_past=part == "back")))
        cursor = self.cursors.get(part, {})
        pages = driver.pages(cursor) if part == "live" else driver.backfill(cursor, since)
        try:
            async with aclosing(_until(pages, until)) as found:
                async for page in found:
                    self._take(driver, page, part)
                    if until():
                        return True
        except SourceError as error:
            self.errors.append(error)
            if isinstance(error, Waiting) and not isinstance(error, Spent):
                self.timer.ahead += max(0.0, error.until - self.timer.now())
            return False
        finally:
            await driver.close()
        return True

    def _take(self, driver: Driver, page: Page, part: str) -> None:
        self.pages += 1
        observe = mapper(self.source.platform)
        seen = list[Observation]()
        for payload in page.payloads:
            try:
                seen += [each for each in observe(payload, driver.origin) if isinstance(each, Observation)]
            except Unreadable:
                self.unreadable += 1
        self.events += self.known.changes(seen, text_of(self.timer.now()))
        self.gaps += [page.gap] if page.gap else []
        self.cursors[part] = orjson.loads(orjson.dumps(page.cursor))


async def _until(pages: AsyncGenerator[Page, None], until: Callable[[], bool]) -> AsyncGenerator[Page, None]:
    """The pages, until the condition holds, which is looked at while none comes, too."""
    following = asyncio.ensure_future(anext(pages))
    try:
        while True:
            while not following.done():
                await asyncio.wait((following,), timeout=0.05)
                if until():
                    return
            try:
                page = following.result()
            except StopAsyncIteration:
                return
            following = asyncio.ensure_future(anext(pages))
            yield page
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await following
        await pages.aclose()


def source(**keys: object) -> AnySource:
    """As sources.yaml has it."""
    found: AnySource = TypeAdapter(AnySource).validate_python({"name": "a", "allow": ["127.0.0.1"], **keys})
    return found
