"""Time as an argument: what depends on the clock takes one, so that tests can set it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970, UTC."""

wall: Clock = time.time

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds by a clock that nobody sets, and that goes on while the machine sleeps: Linux' CLOCK_MONOTONIC does not."""
    return time.clock_gettime(_STEADY)


def worth_logging(attempt: int) -> bool:
    """Whether to log this failed attempt, the first of them being 1: the first, the fifth and each thirtieth."""
    return attempt in (1, 5) or attempt % 30 == 0


SELDOM_S = 60.0


class Seldom:
    """Whether it is time to say the same again: at once, then once a minute."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def due(self) -> bool:
        """True: now, and not again for a minute."""
        now = steady()
        if now < self._next:
            return False
        self._next = now + SELDOM_S
        return True
