"""A driver without a listener: its polls, as the runner runs them, each with a driver and a cursor of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import orjson
from pydantic import SecretStr

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Driver, Gap, Page, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.sources_file import AnySource, parse_sources
from pipeline.listen.states import SourceError
from pipeline.listen.timer import Timer, text_of
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject


class FastTimer(Timer):
    """Sleeps pass at once, and move its clock."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        await asyncio.sleep(0)


class Polls:
    """One source: its cursors, the events that its pages became, its gaps. `token` is its credential."""

    def __init__(self, token: str = "", **keys: object) -> None:
        text = orjson.dumps({"sources": [{"name": "it", "allow": ["127.0.0.1"], **keys}]})
        self.source: AnySource = parse_sources(text, Path("sources.yaml")).sources[0]
        self.token, self.timer, self.limit = SecretStr(token), FastTimer(), Limit()
        self.cursors: dict[str, JsonObject] = {}
        self.gaps: list[Gap] = []
        self.known = Known()
        self._shared: dict[str, object] = {}

    def poll(self, tries: int = 1, events: list[JsonObject] | None = None) -> list[JsonObject]:
        """The events of one poll, in `events` even if it fails; it is tried `tries` times. Raises the last SourceError."""
        return asyncio.run(self._run("live", 0.0, tries, events))

    def backfill(self, since: float, tries: int = 1) -> list[JsonObject]:
        """The events of the past."""
        return asyncio.run(self._run("back", since, tries))

    def check(self) -> str:
        """What the driver finds."""

        async def found() -> str:
            client = Outgoing()
            try:
                return await self._driver(client).check()
            finally:
                await client.close()

        return asyncio.run(found())

    def _driver(self, client: Outgoing) -> Driver:
        api = Api(client, "it", self.timer, self.limit, Allowed.of(self.source.allow))
        return make_driver(self.source, Reach(api, self.token, self.timer, FeedParser(), self._shared))

    async def _run(self, part: str, since: float, tries: int, found: list[JsonObject] | None = None) -> list[JsonObject]:
        events = list[JsonObject]() if found is None else found
        client = Outgoing()
        try:
            for left in reversed(range(tries)):
                try:
                    driver = self._driver(client)
                    cursor = self.cursors.get(part, {})
                    pages = driver.pages(cursor) if part == "live" else driver.backfill(cursor, since)
                    await self._take(driver, part, pages, events)
                    return events
                except SourceError:
                    if not left:
                        raise
        finally:
            await client.close()
        return events

    async def _take(self, driver: Driver, part: str, pages: AsyncGenerator[Page, None], events: list[JsonObject]) -> None:
        async with aclosing(pages):
            async for page in pages:
                seen = [each for payload in page.payloads for each in mapper(self.source.platform)(payload, driver.origin)]
                found = [each for each in seen if isinstance(each, Observation)]
                events += self.known.changes(found, text_of(self.timer.now()))
                self.gaps += [page.gap] if page.gap else []
                self.cursors[part] = orjson.loads(orjson.dumps(page.cursor))
