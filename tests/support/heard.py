"""A driver as a listener runs it, without Kafka: its pages become events, and its cursor goes on over errors and restarts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

from pydantic import SecretStr, TypeAdapter

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Driver, Gap, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.sources_file import AnySource
from pipeline.listen.states import SourceError
from pipeline.listen.timer import Timer
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject

NOW = "2026-11-28T12:00:00Z"


def source_of(fields: Mapping[str, object]) -> AnySource:
    """A source, as in sources.yaml."""
    source: AnySource = TypeAdapter(AnySource).validate_python(fields)
    return source


class Heard:
    """What came of one source so far."""

    def __init__(self, source: AnySource, client: Outgoing, shared: dict[str, object], token: str) -> None:
        """`shared`: of all sources of the credential."""
        self.source, self._client, self._shared, self._token = source, client, shared, token
        self.beside: frozenset[str] | None = frozenset({source.name})
        self.limit = Limit()
        self.cursor: JsonObject = {}
        self.back: JsonObject = {}
        self.events: list[JsonObject] = []
        self.gaps: list[Gap] = []
        self.errors: list[SourceError] = []
        self.pages = 0
        self._known = Known()

    def driver(self) -> Driver:
        """The source's, made anew."""
        api = Api(self._client, self.source.name, Timer(), self.limit, Allowed.of(("127.0.0.1",)))
        reach = Reach(api, SecretStr(self._token), Timer(), FeedParser(), self._shared, self.beside)
        return make_driver(self.source, reach)

    async def poll(self, until: Callable[[], bool] = lambda: False, pages: int = 10_000) -> None:
        """One poll, to its end, or until a page makes `until` true. Raises SourceError."""
        driver = self.driver()
        before = self.pages
        async with aclosing(driver.pages(self.cursor)) as found:
            async for page in found:
                self._take(driver, page.payloads, page.gap)
                self.cursor = page.cursor
                if until() or self.pages - before >= pages:
                    break
        await driver.close()

    async def fill(self, since: float, pages: int = 10_000) -> None:
        """The past, to its end or for so many pages. Raises SourceError."""
        driver = self.driver()
        before = self.pages
        async with aclosing(driver.backfill(self.back, since)) as found:
            async for page in found:
                self._take(driver, page.payloads, page.gap)
                self.back = page.cursor
                if self.pages - before >= pages:
                    break
        await driver.close()

    async def keep_on(self, rest_s: float = 0.01) -> None:
        """Poll after poll, over errors, until it is cancelled."""
        while True:
            try:
                await self.poll()
            except SourceError as error:
                self.errors.append(error)
            await asyncio.sleep(rest_s)

    def counts(self) -> Counter[str]:
        """Events by operation."""
        return Counter(event["operation"] for event in self.events)

    def texts(self) -> list[str]:
        """Of the posts that were created, in their order."""
        return [event.get("text", "") for event in self.events if event["operation"] == "create"]

    def _take(self, driver: Driver, payloads: list[object], gap: Gap | None) -> None:
        self.pages += 1
        observe = mapper(self.source.platform)
        seen = [each for payload in payloads for each in observe(payload, driver.origin) if isinstance(each, Observation)]
        self.events += self._known.changes(seen, NOW)
        self.gaps += [gap] if gap else []


@asynccontextmanager
async def hearing(source: Mapping[str, object], token: str = "") -> AsyncIterator[Heard]:
    """One source, with a client of its own."""
    client = Outgoing()
    try:
        yield Heard(source_of(source), client, {}, token)
    finally:
        await client.close()


async def soon(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until it is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
