"""Breaker: too many moves and refusals within a minute, and automatic evidence is held back until a steward releases it."""

from __future__ import annotations

from collections import deque

import polars as pl

from pipeline.clock import Clock, steady
from pipeline.identity.change import Change

LIMIT, WINDOW_S = 1_000, 60.0
FLOOD = ("ambiguous handle", "over limit", "two CRM records", "never", "too large")
"""The reasons that count: links which evidence would make, were they not too many. The others are everyday."""


class Breaker:
    """Counts what automatic evidence does: neither imports nor commands. Restart: `held` is a mark, the count begins anew."""

    def __init__(self, clock: Clock = steady) -> None:
        self._clock = clock
        self._counts: deque[tuple[float, int]] = deque()
        self.held = 0
        """The least sequence of a release that frees what is held; 0: nothing is held back."""

    def count(self, change: Change) -> bool:
        """Counts what a piece of evidence changed; True: it is too much now."""
        now = self._clock()
        refused = change.refusals.filter(pl.col("after").cast(pl.String).is_in(FLOOD)).height
        self._counts.append((now, change.moved.height + refused))
        while self._counts[0][0] <= now - WINDOW_S:
            self._counts.popleft()
        return sum(count for _, count in self._counts) > LIMIT
