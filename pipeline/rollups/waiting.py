"""Waiting: the quarters of one table that are to be made anew, since when, and from which signal on.

A quarter is *touched* when its rows have changed. It is *upcoming* when its rows are about to change: it is made anew at least
SETTLE_S after that, since the sender may have been killed before it could say that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pipeline.rollups.rollup import QUARTER_S

SETTLE_S = 10.0
"""From the word that rows are about to change until they have; and for how long older quarters wait for more changes."""
DAY = 86_400 // QUARTER_S


@dataclass(slots=True)
class _Touch:
    offset: int | None
    """Of the first signal that is not dealt with; None: no signal speaks of it."""
    since: float | None = None
    """Time of the first change that the table lacks; None: it lacks none that is known."""
    settles_at: float = 0.0
    not_before: float = 0.0
    """The last try failed."""
    minutes: dict[int, float] | None = None
    """Those of the quarter that wait, by the time when they have settled; None: all may."""

    def due_at(self, wait_s: float) -> float:
        return max(self.settles_at if self.since is None else self.since + wait_s, self.not_before)


class Waiting:
    """For one thread. Times are seconds since 1970. Restart: the signals from `offset` on are read again."""

    def __init__(self) -> None:
        self._touches: dict[int, _Touch] = {}

    def __len__(self) -> int:
        return len(self._touches)

    def __contains__(self, quarter: int) -> bool:
        return quarter in self._touches

    def touch(self, quarter: int, offset: int | None, at: float, minutes: Collection[int] | None = None) -> None:
        """Its rows have changed, as the signal with this offset says: those of these minutes of it (0 to 14)."""
        touch = self._touched(quarter, offset, minutes)
        touch.since = at if touch.since is None else min(touch.since, at)

    def upcoming(self, quarter: int, offset: int | None, at: float, minutes: Collection[int] | None = None) -> None:
        """Its rows are about to change."""
        touch = self._touched(quarter, offset, minutes)
        touch.settles_at = max(touch.settles_at, at + SETTLE_S)
        if touch.minutes is not None:
            touch.minutes |= {minute: max(touch.minutes[minute], at + SETTLE_S) for minute in minutes or ()}

    def _touched(self, quarter: int, offset: int | None, minutes: Collection[int] | None) -> _Touch:
        touch = self._touches.get(quarter)
        if touch is None:
            touch = self._touches[quarter] = _Touch(offset, minutes=None if minutes is None else {})
        if touch.offset is None:
            touch.offset = offset
        if minutes is None:
            touch.minutes = None
        elif touch.minutes is not None:
            touch.minutes = dict.fromkeys(minutes, 0.0) | touch.minutes
        return touch

    def minutes(self, quarter: int) -> list[int]:
        """Those of the quarter that wait."""
        known = self._touches[quarter].minutes if quarter in self._touches else {}
        return sorted(range(QUARTER_S // 60) if known is None else known)

    def offset(self) -> int | None:
        """Signals before it are dealt with; None: all are."""
        return min((touch.offset for touch in self._touches.values() if touch.offset is not None), default=None)

    def since(self, wanted: Callable[[int], bool]) -> float | None:
        """Since when the table lacks changes of these quarters; None: it lacks none."""
        times = (touch.since for quarter, touch in self._touches.items() if wanted(quarter) and touch.since is not None)
        return min(times, default=None)

    def among(self, quarters: Collection[int], now: float) -> list[int]:
        """Those of the quarters that changed, or have settled; they wait for nothing more."""
        return [quarter for quarter in quarters if quarter in self._touches and self._touches[quarter].due_at(0.0) <= now]

    def older(self, but: Collection[int], most: int, now: float, newest: bool = False) -> list[int]:
        """Up to `most` quarters of one day whose turn has come, without those of `but`: of the day that waits longest; or of
        the `newest` one up to today, if one of these waits."""
        times = ((quarter, touch.due_at(SETTLE_S)) for quarter, touch in self._touches.items() if quarter not in but)
        due = {quarter: at for quarter, at in times if at <= now}
        if not due:
            return []
        days = {quarter // DAY for quarter in due}
        known = max((day for day in days if day * DAY * QUARTER_S <= now), default=None) if newest else None
        day = min(due, key=due.__getitem__) // DAY if known is None else known
        return sorted((quarter for quarter in due if quarter // DAY == day), key=due.__getitem__)[:most]

    def done(self, quarters: Collection[int], begun: float) -> None:
        """They were made anew from rows as they were at `begun` or later, and no signal came since."""
        for touch in (self._touches[quarter] for quarter in quarters if quarter in self._touches):
            touch.since = None  # once more, when it has settled
            settles = dict.fromkeys(range(QUARTER_S // 60), touch.settles_at) if touch.minutes is None else touch.minutes
            touch.minutes = {minute: at for minute, at in settles.items() if at > begun}
        for quarter in [quarter for quarter in quarters if quarter in self._touches]:
            if self._touches[quarter].settles_at <= begun:
                del self._touches[quarter]

    def failed(self, quarters: Collection[int], again_at: float) -> None:
        """They were not made anew, and others have their turn first."""
        for quarter in quarters:
            if quarter in self._touches:
                self._touches[quarter].not_before = again_at

    def clear(self) -> None:
        """Another process reads the signals. What no signal speaks of still waits: nobody else would know of it."""
        self._touches = {quarter: touch for quarter, touch in self._touches.items() if touch.offset is None}
