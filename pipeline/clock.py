"""Time as an argument: what depends on the clock takes one, so that tests can set it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970, UTC."""

wall: Clock = time.time
