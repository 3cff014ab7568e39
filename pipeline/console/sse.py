"""Server-sent events: how they are written, and the queue of one stream that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

MOST_WAITING = 4_000
"""Events that may wait for one stream, besides what its connection holds: more than are kept for who comes back. Streams share
them, so they cost no memory of their own."""
BLOCK = 64 << 10
"""Bytes that are sent together. A connection holds about as much; these are a stream's own."""
BEAT = b"event: beat\ndata:\n\n"
"""A sign of life. A script is not told of comments."""


class Said(NamedTuple):
    """One event for the browser."""

    name: str
    data: str


def encoded(said: Said, place: str = "") -> bytes:
    """The event as it is sent. `place`: its id; what is said after it is told to who comes back with it."""
    # The three ends of a line that the format knows: none can begin a field of its own.
    lines = said.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fields = [*([f"id: {place}"] if place else []), f"event: {said.name}", *(f"data: {line}" for line in lines)]
    return ("\n".join(fields) + "\n\n").encode(errors="replace")


def together(events: Sequence[bytes]) -> Iterator[bytes]:
    """The events in blocks: of ten thousand at once each stream has some blocks in its queue."""
    block, size = list[bytes](), 0
    for event in events:
        if block and size + len(event) > BLOCK:
            yield b"".join(block)
            block, size = [], 0
        block.append(event)
        size += len(event)
    if block:
        yield b"".join(block)


class Stream:
    """What one open page has still to be sent. For one event loop.

    It never holds up who writes: when too much waits, it is dropped, and its connection is cut off (`cut`).
    """

    def __init__(self, session: str, cut: Callable[[], None] | None = None, person: str = "") -> None:
        self.session, self.person = session, person
        self.dropped = False
        self._cut = cut
        self._waiting: list[bytes] = []
        self._over = False
        self._some = asyncio.Event()

    def put(self, event: bytes) -> None:
        """One more event."""
        if self._over:
            return
        self._waiting.append(event)
        if len(self._waiting) > MOST_WAITING:
            self.drop()
        self._some.set()

    def end(self, last: bytes = b"") -> None:
        """Ends it after what waits and `last`."""
        if last:
            self.put(last)
        self._over = True
        self._some.set()

    def lose(self) -> None:
        """Ends it at once; what waits is lost, and the browser asks for it when it comes back."""
        self.dropped = self._over = True
        self._waiting.clear()
        self._some.set()

    def drop(self) -> None:
        """The same, and the connection goes: its browser does not read."""
        self.lose()
        if self._cut:
            self._cut()

    async def take(self) -> bytes:
        """What waits, up to a BLOCK or one event together, as soon as there is something; nothing: it is over."""
        while not self._waiting and not self._over:
            self._some.clear()
            await self._some.wait()
        size = count = 0
        while count < len(self._waiting) and (not count or size + len(self._waiting[count]) <= BLOCK):
            size += len(self._waiting[count])
            count += 1
        block = b"".join(self._waiting[:count])
        del self._waiting[:count]
        return block
