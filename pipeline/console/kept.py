"""Answers that are kept for some seconds, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    value: T
    asked: float
    until: float
    size: int


class Kept(Generic[T]):
    """Values by key. What was asked longest ago goes first when there is no room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._all: OrderedDict[Hashable, _Kept[T]] = OrderedDict()
        self.size = 0
        """Bytes that are kept."""

    def get(self, key: Hashable, now: float, keep_s: float) -> T | None:
        """The value, if it was asked for at most `keep_s` ago."""
        kept = self._all.get(key)
        if kept is None or now >= kept.until or not 0 <= now - kept.asked <= keep_s:  # a clock may go back
            return None
        self._all.move_to_end(key)
        return kept.value

    def put(self, key: Hashable, value: T, asked: float, until: float, size: int) -> None:
        """Keeps it until then; not at all if it alone is larger than the limit."""
        self._drop(key)
        if size > self._limit:
            return
        self._all[key] = _Kept(value, asked, until, size)
        self.size += size
        while self.size > self._limit:
            self._drop(next(iter(self._all)))

    def drop(self, which: Callable[[Any], bool]) -> None:
        """Forgets all whose key it is."""
        for key in [key for key in self._all if which(key)]:
            self._drop(key)

    def expire(self, now: float) -> float | None:
        """Forgets what is over; the time when the next one is."""
        for key in [key for key, kept in self._all.items() if not kept.asked <= now < kept.until]:
            self._drop(key)
        return min((kept.until for kept in self._all.values()), default=None)

    def _drop(self, key: Hashable) -> None:
        if gone := self._all.pop(key, None):
            self.size -= gone.size
