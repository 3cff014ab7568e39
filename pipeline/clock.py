"""Time as an argument: code that depends on the clock takes a clock, so that tests can set it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds, of `wall` since 1970, UTC."""

wall: Clock = time.time

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds of a clock that nobody sets and that runs on while the machine sleeps, unlike Linux' CLOCK_MONOTONIC."""
    return time.clock_gettime(_STEADY)


def worth_logging(attempt: int) -> bool:
    """Whether to log this failed attempt, the first of them being 1: the first, the fifth and each thirtieth."""
    return attempt in (1, 5) or attempt % 30 == 0


SELDOM_S = 60.0


class Seldom:
    """Limits a repeated log line: at once, then once a minute."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def due(self) -> bool:
        """True: log now; for the next minute it is False."""
        now = steady()
        if now < self._next:
            return False
        self._next = now + SELDOM_S
        return True
