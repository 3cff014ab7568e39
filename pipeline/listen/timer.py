"""The clock of a listener: sources wait by it, and tests can make it run fast."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pipeline.clock import wall
from schemas.times import rfc3339


class Timer:
    """Real time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return wall()

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""
        await asyncio.sleep(seconds)


def text_of(seconds: float) -> str:
    """The time as events have it, in UTC."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
