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
