"""Versions of the rows of rollups: who read later has the higher one."""

from __future__ import annotations

TERM_SHIFT = 32


class Versions:
    """The leader's term, then a counter. Each is to be taken before the rows that it stands for are read."""

    def __init__(self, term: int) -> None:
        self._last = term << TERM_SHIFT

    def next(self) -> int:
        """Higher than all before, in this term and in earlier ones."""
        self._last += 1
        return self._last
