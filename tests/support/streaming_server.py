"""Servers on loopback that stream by WebSocket: frames that clients follow, breaks, stalls, recorded frames at a rate."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

from aiohttp import web

from tests.support.platform_server import Faults, PlatformServer, World


class StreamingServer(PlatformServer):
    """A server whose frames are numbered from 0 on; a client follows them from any of them. `silent`: clients get neither
    frames nor pongs. `closes`: a stream ends as soon as it begins."""

    def __init__(self, world: World | None = None, faults: Faults | None = None) -> None:
        super().__init__(world, faults)
        self.frames: list[object] = []
        self.silent = self.closes = False
        self.sockets: set[web.WebSocketResponse] = set()
        self._followers: set[asyncio.Event] = set()

    def add(self, frame: object) -> None:
        """A new frame, from any thread."""
        self.frames.append(frame)
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._wake)

    def play(
        self, frames: Iterable[object], rate: float, sent: Callable[[object, float], None] = lambda frame, at: None
    ) -> None:
        """Adds these frames, so many a second, and calls `sent` with each and the time. Returns after the last one."""
        begun = time.monotonic()
        for number, frame in enumerate(frames):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            sent(frame, time.time())
            self.add(frame)

    def breaks(self) -> None:
        """Breaks all streams off."""
        done = threading.Event()

        def abort() -> None:
            for socket in self.sockets:
                if socket._req is not None and socket._req.transport is not None:
                    socket._req.transport.abort()
            done.set()

        self._loop.call_soon_threadsafe(abort)
        done.wait(5)

    async def follow(self, socket: web.WebSocketResponse, first: int, text_of: Callable[[object], str | None]) -> None:
        """Sends what `text_of` makes of the frames from `first` on, until the client is gone."""
        if self.closes:
            await socket.close()
            return
        news = asyncio.Event()
        self.sockets.add(socket)
        self._followers.add(news)
        reading = asyncio.ensure_future(self._read(socket, news))
        try:
            while not reading.done():
                news.clear()
                while first < len(self.frames) and not self.silent and not reading.done():
                    if (text := text_of(self.frames[first])) is not None:
                        await socket.send_str(text)
                    first += 1
                await news.wait()
        except ConnectionError:
            pass
        finally:
            self.sockets.discard(socket)
            self._followers.discard(news)
            reading.cancel()

    async def _read(self, socket: web.WebSocketResponse, news: asyncio.Event) -> None:
        """Answers pings, unless the server is silent, until the client is gone."""
        try:
            while not socket.closed:
                message = await socket.receive()
                if message.type is web.WSMsgType.PING and not self.silent:
                    await socket.pong(message.data)
                elif message.type in (web.WSMsgType.CLOSE, web.WSMsgType.CLOSING, web.WSMsgType.CLOSED, web.WSMsgType.ERROR):
                    return
        except ConnectionError:
            return
        finally:
            news.set()

    def _wake(self) -> None:
        for follower in self._followers:
            follower.set()
