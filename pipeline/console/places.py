"""Places for questions to ClickHouse: so many at a time, and some of them for page Now alone. For one event loop."""

from __future__ import annotations

import asyncio


class Places:
    """`many` of them; `first`: those that only page Now may take."""

    def __init__(self, many: int, first: int) -> None:
        self._all, self._others = asyncio.Semaphore(many), asyncio.Semaphore(many - first)
        self._waiting = set[asyncio.Timeout]()

    async def take(self, first: bool, seconds: float) -> None:
        """Waits for one, who came first first. Raises TimeoutError."""
        async with asyncio.timeout(seconds) as limit:
            self._waiting.add(limit)
            try:
                await self._take(first)
            finally:
                self._waiting.discard(limit)

    def give_up(self) -> None:
        """There is nothing to wait for: who waits has a TimeoutError now."""
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(0)

    async def _take(self, first: bool) -> None:
        if first:
            await self._all.acquire()
            return
        await self._others.acquire()
        try:
            await self._all.acquire()
        except BaseException:
            self._others.release()
            raise

    def leave(self, first: bool) -> None:
        """It is free again."""
        self._all.release()
        if not first:
            self._others.release()
