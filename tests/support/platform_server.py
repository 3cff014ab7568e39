"""Servers on loopback that speak a platform's protocol: a world of items, in the payloads of each platform, and faults.

A test changes the world from its own thread; a server reads it in its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from aiohttp import web

from tests.support.ledger import FAULT, STREAMS, Ledger

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Literal["", "500", "reset", "stall", "half", "html", "empty", "429", "401"]
STALL_S = 3_600.0


@dataclass(frozen=True)
class Item:
    """A post, in the world's own words."""

    number: int
    """Ascending with time: platforms make their ids of it."""
    created_at: float
    """Seconds since 1970."""
    text: str
    author: str = "ines"
    likes: int = 0
    edited_at: float = 0.0
    """0: never."""
    deleted: bool = False


class World:
    """The items of a platform. For several threads."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Item, str], None]] = []

    def post(self, number: int, created_at: float, text: str, author: str = "ines") -> Item:
        """A new item."""
        return self._put(Item(number, created_at, text, author), "create")

    def edit(self, number: int, text: str, at: float) -> Item:
        """Changes its text."""
        return self._put(replace(self._items[number], text=text, edited_at=at), "edit")

    def like(self, number: int, likes: int) -> Item:
        """Changes its counts."""
        return self._put(replace(self._items[number], likes=likes), "like")

    def delete(self, number: int) -> Item:
        """Takes it away."""
        return self._put(replace(self._items[number], deleted=True), "delete")

    def newest(self, before: int | None = None, after: int | None = None) -> list[Item]:
        """Items that are there, the newest first: with numbers below `before` and above `after`."""
        with self._lock:
            items = [*self._items.values()]
        return [
            item
            for item in sorted(items, key=lambda item: -item.number)
            if not item.deleted and (before is None or item.number < before) and (after is None or item.number > after)
        ]

    def items(self) -> dict[int, Item]:
        """All, deleted ones too."""
        with self._lock:
            return dict(self._items)

    def follow(self, listener: Callable[[Item, str], None]) -> None:
        """Calls `listener` with each change and its kind, on the thread of the change: for streams."""
        self._listeners.append(listener)

    def _put(self, item: Item, kind: str) -> Item:
        with self._lock:
            self._items[item.number] = item
        for listener in self._listeners:
            listener(item, kind)
        return item


@dataclass
class Faults:
    """Which requests fail, and how: `share` of them, by chance of `seed`; or those that `plan` lists, first things first."""

    share: float = 0.0
    kinds: tuple[Fault, ...] = ("500", "reset", "stall", "half")
    retry_after: str = ""
    """Sent with 429."""
    plan: list[Fault] = field(default_factory=list)
    seed: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    """Faults so far, by kind."""

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def next(self) -> Fault:
        """The fault of the next request; blank: none."""
        kind: Fault = ""
        if self.plan:
            kind = self.plan.pop(0)
        elif self.share and self._random.random() < self.share:
            kind = self._random.choice(self.kinds)
        if kind:
            self.counted[kind] += 1
        return kind


class PlatformServer(ABC):
    """One platform, on a thread of its own and a free port. A subclass adds `routes`; `requests` counts them by path."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        self.world, self.faults = world or World(), faults or Faults()
        self.requests: Counter[str] = Counter()
        self.ledger: Ledger | None = None
        """Judges each request, if it is there."""
        self.url = ""
        self._loop = asyncio.new_event_loop()

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The platform's own."""

    @contextmanager
    def running(self) -> Iterator[PlatformServer]:
        """Serves inside it; `url` is then its base, http://127.0.0.1:PORT."""
        thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        thread.start()
        runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(runner), self._loop).result(60)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _start(self) -> web.AppRunner:
        app = web.Application(middlewares=[self._judged, self._faulty])
        app.add_routes(self.routes())
        app.on_response_prepare.append(_note_stream)
        quiet = logging.getLogger("tests.platform_server")
        quiet.setLevel(logging.CRITICAL)  # clients that hang up are what these tests are about
        runner = web.AppRunner(app, shutdown_timeout=0.1, logger=quiet, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _stop(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @web.middleware
    async def _judged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await (handler(request) if self.ledger is None else self.ledger.judged(request, handler))

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests[request.path] += 1
        kind = self.faults.next()
        request[FAULT] = kind if kind != "half" else ""
        if kind == "stall":
            await asyncio.sleep(STALL_S)
        if kind == "reset" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if kind == "html":
            return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")
        if kind == "empty":
            return web.Response()
        if kind in ("500", "429", "401"):
            headers = {"Retry-After": self.faults.retry_after} if kind == "429" and self.faults.retry_after else {}
            return web.Response(status=int(kind), text="no", headers=headers)
        response = await handler(request)
        if kind == "half" and isinstance(response, web.Response) and isinstance(response.body, bytes):
            request[FAULT] = kind
            return await _half(request, response)
        return response


async def _note_stream(request: web.Request, response: web.StreamResponse) -> None:
    request[STREAMS] = not isinstance(response, web.Response)


async def _half(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """The first half of the body, though the header promises all of it."""
    assert isinstance(whole.body, bytes)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    response.content_length = len(whole.body)
    await response.prepare(request)
    await response.write(whole.body[: len(whole.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
