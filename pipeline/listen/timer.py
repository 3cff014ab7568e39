"""The clock of a listener: sources wait by it, and tests can make it run fast."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from pipeline.clock import wall
from schemas.times import rfc3339

AHEAD_S = 86_400.0
"""By how much a platform's clock may be ahead of ours."""


class Timer:
    """Real time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return wall()

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""
        await asyncio.sleep(seconds)


def possible(times: Iterable[str], now: float) -> list[str]:
    """Those of a platform's times that are not far ahead: one that is would stay the newest, and hide all that is new."""
    latest = text_of(now + AHEAD_S)
    return [time for time in times if time <= latest]


def text_of(seconds: float) -> str:
    """The time as events have it, in UTC."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
