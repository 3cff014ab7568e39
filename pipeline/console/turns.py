"""Turns: work of which so much runs at a time, and of one holder only a part: who asks for much waits for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.errors import UnreachableError

MOST_WAITING = 200
"""Of one holder."""


class _Own:
    def __init__(self, places: int) -> None:
        self.places, self.there = asyncio.Semaphore(places), 0


class Turns:
    """For one event loop. `own`: how many places one holder may have."""

    def __init__(self, places: int, own: int) -> None:
        self._places, self._own = asyncio.Semaphore(places), own
        self._holders: dict[str, _Own] = {}

    @asynccontextmanager
    async def turn(self, holder: str) -> AsyncIterator[None]:
        """A place, as soon as there is one. Raises UnreachableError where too many of this holder wait."""
        own = self._holders.setdefault(holder, _Own(self._own))
        if own.there >= MOST_WAITING:
            raise UnreachableError("too much is asked for from one address at once")
        own.there += 1
        try:
            async with own.places, self._places:
                yield
        finally:
            own.there -= 1
            if not own.there:
                del self._holders[holder]
