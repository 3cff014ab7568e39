"""Who may use how much of a credential's rate limit, where the platform says how much is left and until when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.listen.source import Source
from pipeline.listen.states import Waiting

PAST = 0.5
"""Back-fills wait for the next window once less than this part of it is left: the rest is for what comes live."""
LONGEST_S = 24 * 3600.0


class Shares:
    """Of one credential, in one window of its limit. Restart: of what is left of the window then."""

    def __init__(self) -> None:
        self.weights: dict[str, float] = {}
        """By source; empty: each takes what it needs."""
        self._used: Counter[str] = Counter()
        self._most = self._left = self._ends = 0.0
        """Requests: the most that were left in this window, and how many are; when it ends."""

    def note(self, left: float, ends: float, now: float) -> None:
        """What an answer says about the window."""
        if not now < self._ends <= now + LONGEST_S:
            self._used.clear()
            self._most, self._ends = left, ends
        self._most, self._left = max(self._most, left), left

    def ask(self, source: str, now: float, *, is_past: bool) -> None:
        """Counts a request that the source is about to make. Raises Waiting if it is not its turn in this window."""
        if now < self._ends <= now + LONGEST_S:
            if is_past and self._left < PAST * self._most:
                raise Waiting("what is left of its rate limit is for what comes live", self._ends)
            weight, whole = self.weights.get(source), sum(self.weights.values())
            if weight is not None and self._used[source] + 1 > max(1.0, self._most * weight / whole):
                raise Waiting("its share of the rate limit is used up", self._ends)
        self._used[source] += 1


def weights_of(sources: Iterable[Source]) -> dict[str, float]:
    """Of the sources that run with one credential: by key budget, 1 where another one alone names it."""
    budgets = {each.name: each.budget for each in sources}
    return {name: budget or 1.0 for name, budget in budgets.items()} if any(budgets.values()) else {}
