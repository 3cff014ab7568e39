"""X: the filtered stream, and recent search for its gaps; or recent search alone, each `every`.

The cursor is a place of the search (twitter_search.py). The stream moves `since` as soon as a search that began SETTLE_S after
it has found what was written before it; from then on there is nothing to search until the stream breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from pipeline.listen.driver import Page, Reach
from pipeline.listen.drivers.twitter_problems import judge
from pipeline.listen.drivers.twitter_search import LEAST, SLACK_S, Search
from pipeline.listen.drivers.twitter_stream import Frames, Stream
from pipeline.listen.drivers.twitter_times import id_at, time_at
from pipeline.listen.sources_file import Twitter
from pipeline.listen.states import Failed, NoCredentials, Spent, Waiting
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.twitter_post import post_id
from pipeline.sources.platforms.values import object_of
from schemas.untyped import JsonObject

SETTLE_S = SLACK_S + 10.0
"""So long after the stream began the search finds all that was written before."""
QUIET_S = 600.0
"""`since` follows a stream without posts this often."""
TRIES, LONGEST_S = 5, 60.0
"""A search beside the stream is tried so often in a row, with pauses of 1, 2, 4 ... s."""
LOOK_S = 5.0
"""A search that has to wait looks this often whether it may go on; that costs no request."""
TRIED = 10
"""Posts of the page that `earshot source check` asks for: X bills each."""


class TwitterDriver:
    """A query."""

    def __init__(self, source: Twitter, reach: Reach) -> None:
        """Raises NoCredentials without a token."""
        token = reach.token.get_secret_value()
        if not token:
            raise NoCredentials("X asks for an app's bearer token: name token_env or token_file")
        self._source, self._beside = source, reach.beside
        self._api = replace(reach.api, headers={**reach.api.headers, "Authorization": f"Bearer {token}"}, judge=judge)
        self._stream = _shared(source.server, reach)
        most = 100 if reach.beside is not None else TRIED
        self._search = Search(self._api, source.server, source.query, self._stream.clock, most)
        self.origin = Origin("", source.own_accounts())

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The stream until it breaks, with searches for what it lacks; or one search."""
        try:
            async for page in self._live(cursor):
                yield page
        except Spent:
            if self._beside is not None:
                await self._stream.spent(self._source.name)
            raise

    async def _live(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        self._search.spending.check(LEAST)  # each start searches
        if "since" not in cursor or not self._source.stream or self._beside is None:
            async for page in self._search.walk(cursor):
                cursor = page.cursor
                yield page
        if not self._source.stream or self._beside is None:
            return
        async with self._stream.joined(self._source.name, self._source.query, self._beside, self._api) as frames:
            async for page in _Following(self._search, frames, self._stream, cursor).pages():
                yield page

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Recent search, back to `since`, or seven days."""
        async for page in self._search.walk(cursor or {"since": id_at(since)}):
            yield page

    async def check(self) -> str:
        """Reads the rules of the app's stream, which costs nothing."""
        rules = await self._stream.rules.read(self._api)
        return f"{self._source.server}: X takes the token; the app's stream has {len(rules)} rules"

    async def close(self) -> None:
        """The stream ends with the pages."""


class _Following:
    """The stream and the searches beside it, from a place on."""

    def __init__(self, search: Search, frames: Frames, stream: Stream, place: JsonObject) -> None:
        self._search, self._frames, self._clock, self._place = search, frames, stream.clock, place
        self._spending = search.spending
        self._begun = self._due = asyncio.get_running_loop().time()
        self._walk_begun: float | None = None
        """None: by an earlier connection."""
        self._whole = False
        """Whether nothing from before the stream is missing."""
        self._tries = 0

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Until the stream ends."""
        loop = asyncio.get_running_loop()
        while (posts := await self._frames.take(None if self._whole else max(0.0, self._due - loop.time()))) is not None:
            if self._whole:
                self._place = self._moved(posts)
            self._spending.paid(str(object_of(object_of(each).get("data")).get("id")) for each in posts)
            if posts or self._frames.quiet:
                yield Page(posts, self._place)
                self._spending.check()
            if not self._whole and loop.time() >= self._due and (page := await self._step(loop.time())) is not None:
                yield page

    def _moved(self, posts: list[object]) -> JsonObject:
        """The place after these posts: what X may still send of the time before them counts as missing."""
        since = int(self._place["since"])
        ids = [name for each in posts if (name := post_id(object_of(object_of(each).get("data")).get("id")))]
        now = self._clock.now()
        newest = min(now, max((time_at(name) for name in ids), default=0.0))
        if self._frames.quiet and now - time_at(str(since)) > QUIET_S + SLACK_S:
            newest = now - SLACK_S
        return {"since": str(max(since, int(id_at(newest - SLACK_S))))}

    async def _step(self, now: float) -> Page | None:
        """One request of a search; None: it failed, and is tried again later. Raises SourceError."""
        if "to" not in self._place:
            self._walk_begun = now
        try:
            page, done = await self._search.step(self._place)
        except Spent:
            raise
        except Waiting:
            self._due = now + LOOK_S
            return None
        except Failed:
            self._tries += 1
            if self._tries >= TRIES:
                raise
            self._due = now + min(LONGEST_S, 2.0 ** (self._tries - 1))
            return None
        self._tries, self._place = 0, page.cursor
        if done:
            self._whole = self._walk_begun is not None and self._walk_begun - self._begun >= SETTLE_S
            self._due = max(self._begun + SETTLE_S, now)
        return page


def _shared(server: str, reach: Reach) -> Stream:
    name = f"twitter {server}"
    found = reach.shared.get(name)
    stream = found if isinstance(found, Stream) else Stream(server, reach.timer)
    reach.shared[name] = stream
    return stream


def make(source: Twitter, reach: Reach) -> TwitterDriver:
    """The driver of a query. Raises NoCredentials."""
    return TwitterDriver(source, reach)
