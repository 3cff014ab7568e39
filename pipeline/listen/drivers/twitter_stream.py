"""X's filtered stream. X allows an app one connection: the sources of a credential share it, and each gets the posts that
match its rule.

It connects when the first source joins, and ends when the last one leaves. A source that leaves because it was changed, paused
taken out or out of budget ends it for the others, too: they connect again at once, and the rules follow sources.yaml.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import TOGETHER_S
from pipeline.listen.drivers.twitter_problems import NoRules, text
from pipeline.listen.drivers.twitter_rules import Rule, Rules
from pipeline.listen.drivers.twitter_search import FIELDS
from pipeline.listen.drivers.twitter_times import Clock
from pipeline.listen.states import Failed, SourceError
from pipeline.listen.timer import Timer
from pipeline.sources.platforms.values import objects_of
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value

IDLE_S = 30.0
"""A blank line is due each 20 s."""
MOST = 1_000
"""Posts that wait for a source; beyond it the source begins anew, with a search."""


class Frames:
    """The posts of the stream for one source."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.quiet = False
        """Whether the last line that was taken was blank: X has no other post of before."""
        self._blank = False
        self._posts: list[object] = []
        self._come = asyncio.Event()
        self._ended = False
        self._error: SourceError | None = None

    def put(self, frame: object) -> None:
        """A post; None for a blank line."""
        self._blank = frame is None
        if frame is not None and not self._ended:
            self._posts.append(frame)
        if len(self._posts) > MOST:
            self._posts.clear()
            self.end(Failed(f"more than {MOST:,} posts came before they could be sent: a search fetches them"))
        self._come.set()

    def end(self, error: SourceError | None) -> None:
        """No more come; the first reason counts."""
        if not self._ended:
            self._ended, self._error = True, error
        self._come.set()

    async def take(self, seconds: float | None) -> list[object] | None:
        """What came, blank lines left out; waits up to `seconds` for a line; None: the stream ended. Raises SourceError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._come.wait()
        if self._posts:
            await asyncio.sleep(TOGETHER_S)
        self._come.clear()
        posts, self._posts = self._posts, []
        self.quiet, self._blank = self._blank, False
        if self._ended and not posts:
            if self._error is not None:
                raise self._error
            return None
        if self._ended:
            self._come.set()
        return posts


class Stream:
    """The connection of one app."""

    def __init__(self, server: str, timer: Timer) -> None:
        self.rules, self.clock = Rules(server), Clock(timer)
        self._url = f"{server}/2/tweets/search/stream"
        self._frames: dict[str, Frames] = {}
        self._reading: asyncio.Task[None] | None = None
        self._joining = asyncio.Lock()
        self._spent = set[str]()
        """Sources that take no more posts this month."""
        self._tries = 0
        self._failed: SourceError | None = None
        """Why the last try to connect failed."""
        self._limits = Limit(), Limit()
        """X has one a path."""

    @asynccontextmanager
    async def joined(self, name: str, query: str, beside: frozenset[str], api: Api) -> AsyncIterator[Frames]:
        """The source's posts, from now on. Raises SourceError, also inside it."""
        frames: Frames | None = None
        tries = self._tries
        try:
            async with self._joining:
                if self._failed is not None and tries != self._tries:
                    raise self._failed  # another source has tried it meanwhile
                self._spent.discard(name)
                rule = await self.rules.set(name, query, beside - self._spent, replace(api, limit=self._limits[0]))
                frames = self._frames[name] = Frames(rule)
                for each in self._frames.values():
                    if not self.rules.has(each.rule):  # it was another source's, too
                        each.end(None)
                if self._reading is None or self._reading.done():
                    await self._connect(replace(api, limit=self._limits[1]))
            yield frames
        except SourceError:
            await self._leave(name, frames, changed=False)
            raise
        except BaseException:
            await self._leave(name, frames, changed=True)
            raise
        await self._leave(name, frames, changed=False)

    async def spent(self, name: str) -> None:
        """The source takes no more posts, which X would bill: the others connect again at once, and its rule goes."""
        if name not in self._spent:
            self._spent.add(name)
            await self._leave(name, self._frames.get(name), changed=True)

    async def _leave(self, name: str, frames: Frames | None, changed: bool) -> None:
        if self._frames.get(name) is frames:
            self._frames.pop(name, None)
        if (changed or not self._frames) and self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _connect(self, api: Api) -> None:
        """Returns once the stream has answered. Raises SourceError."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(api, opened), name="X's stream")
        self._failed = None
        try:
            await opened
        except SourceError as error:
            self._failed = error
            raise
        finally:
            self._tries += 1

    async def _read(self, api: Api, opened: asyncio.Future[None]) -> None:
        error: SourceError | None = None
        try:
            async with api.stream(self._url, FIELDS, idle_s=IDLE_S) as lines:
                self.clock.note(lines.headers)
                opened.set_result(None)
                async for line in lines:
                    self._spread(line)
        except SourceError as found:
            error = found
        finally:
            if opened.done() or isinstance(error, NoRules):
                self.rules.forget()
            if not opened.done():
                opened.set_exception(error or Failed("the stream did not begin"))
            for frames in self._frames.values():
                frames.end(error)

    def _spread(self, line: bytes) -> None:
        """Raises Failed for a line that ends the stream."""
        if not line.strip():
            for frames in self._frames.values():
                frames.put(None)
            return
        try:
            frame = json_value(line)
        except NotJson:
            raise Failed("a line of the stream is no JSON") from None
        if not isinstance(frame, dict) or "data" not in frame:
            raise Failed(f"X ends the stream{text(frame) if isinstance(frame, dict) else ''}")
        matching = {str(each.get("id")) for each in objects_of(frame.get("matching_rules"))}
        for frames in self._frames.values():
            if frames.rule.id in matching:
                frames.put(frame)
