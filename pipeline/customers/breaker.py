"""Breaker: too many moves and refusals within a minute, and automatic evidence is held back until a steward releases it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import polars as pl

from pipeline.clock import Clock, steady
from pipeline.identity.change import Change

LIMIT, WINDOW_S = 1_000, 60.0
FLOOD = ("ambiguous handle", "over limit", "two CRM records", "never", "too large")
"""The reasons that count: links which evidence would make, were they not too many. The others are everyday, and so are claims:
thousands show one popular page in their bios, and none of these claims links anybody by itself. What they did link, moves."""


class Breaker:
    """Counts what automatic evidence does: neither imports nor commands. Restart: `held` is a mark, the count begins anew."""

    def __init__(self, clock: Clock = steady) -> None:
        self._clock = clock
        self._counts: deque[tuple[float, int]] = deque()
        self.held = 0
        """The least sequence of a release that frees what is held; 0: nothing is held back."""

    def count(self, change: Change, claims: Callable[[pl.Series], pl.Series]) -> bool:
        """Counts what a piece of evidence changed; True: it is too much now. `claims`: those of some edges that are claims."""
        now = self._clock()
        refused = change.refusals.filter(pl.col("after").cast(pl.String).is_in(FLOOD)).get_column("edge")
        self._counts.append((now, change.moved.height + len(refused) - len(claims(refused))))
        while self._counts[0][0] <= now - WINDOW_S:
            self._counts.popleft()
        return sum(count for _, count in self._counts) > LIMIT
