"""Drivers: how payloads of a platform are fetched. A platform's driver, `drivers/<platform>.py`, has

    def make(source: TheSource, reach: Reach) -> Driver

A driver keeps no state but connections: where it goes on is in the cursor, so that another listener can take over after each
page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from pipeline.listen.api import Api
from pipeline.listen.sources_file import AnySource
from pipeline.listen.timer import Timer
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject

TOGETHER, TOGETHER_S = 500, 0.05
"""Frames of a stream that become one page, and how long the first of them waits for the others."""


class Gap(NamedTuple):
    """What the platform can't give any more: a row of table source_gaps."""

    since: str
    """RFC 3339; blank: not known."""
    until: str
    reason: str


class Page(NamedTuple):
    """One answer of the platform, or some frames of its stream."""

    payloads: list[object]
    """For the platform's mapper."""
    cursor: JsonObject
    """Where the driver goes on once these have been sent; a JSON object of at most some kB."""
    gap: Gap | None = None


class Driver(Protocol):
    """Fetches. Raises SourceError (states.py) when it can't go on now; the next call goes on from the last page's cursor.

    Methods that return pages are asynchronous generators."""

    origin: Origin
    """What the mapper gets beside each payload; it may change with a page."""

    def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """One poll, to its end; or a stream, until it breaks. An empty cursor: the first start, which begins with what is new
        now."""
        ...

    def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """What was there before the first start, back to `since` (seconds since 1970), newest first, with a cursor of its own.
        Nothing where the platform gives no past."""
        ...

    async def check(self) -> str:
        """Tries one request; a line that says what it found. Raises SourceError."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...


@dataclass(frozen=True)
class Reach:
    """What a driver works with."""

    api: Api
    token: SecretStr
    timer: Timer
    feeds: FeedParser
    shared: dict[str, object] = field(default_factory=dict)
    """What the drivers of one credential share while a listener runs, each platform under a name of its own: a connection of
    which the platform allows one."""
    beside: frozenset[str] | None = None
    """The sources that run with this credential, this one among them; None: the source is only tried, beside a listener."""
    others: Callable[[], tuple[AnySource, ...]] = tuple
    """All sources of the file, as it is now."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With the secrets that a source names beside its token."""


async def together(frames: AsyncIterator[object], sign_s: float | None = None) -> AsyncGenerator[list[object], None]:
    """The frames of a stream, some at a time; each waits TOGETHER_S at most. An empty list for each `sign_s` without one: the
    connection lives, or `frames` would have raised. Errors of `frames` come after what was before."""
    loop, waiting, until = asyncio.get_running_loop(), list[object](), 0.0
    following = asyncio.ensure_future(anext(frames))
    try:
        while True:
            await asyncio.wait((following,), timeout=max(0.0, until - loop.time()) if waiting else sign_s)
            if not following.done() or len(waiting) >= TOGETHER or (waiting and loop.time() >= until):
                yield waiting
                waiting = []
                continue
            try:
                frame = following.result()
            except StopAsyncIteration:
                break
            except Exception:
                if waiting:
                    yield waiting
                raise
            until = until if waiting else loop.time() + TOGETHER_S
            waiting.append(frame)
            following = asyncio.ensure_future(anext(frames))
        if waiting:
            yield waiting
    finally:
        await _end(following, frames)


async def merged(*streams: AsyncIterator[object]) -> AsyncGenerator[object, None]:
    """What comes from any of these, until the first of them ends. Raises what they raise."""
    following = {asyncio.ensure_future(anext(each)): each for each in streams}
    try:
        while True:
            await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in following if task.done()]:
                stream = following.pop(task)
                try:
                    found = task.result()
                except StopAsyncIteration:
                    return
                following[asyncio.ensure_future(anext(stream))] = stream
                yield found
    finally:
        for task, stream in following.items():
            await _end(task, stream)


async def _end(task: asyncio.Future[object], stream: AsyncIterator[object]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
        await task
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
