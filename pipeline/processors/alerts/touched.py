"""Minutes whose events changed: those to judge now, and those to read again unasked. The old ones go to late_days.py."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pipeline.processors.alerts.history import STEP_MINUTES, History
from pipeline.processors.alerts.late_days import LateDays
from pipeline.processors.alerts.lifecycle import OLD
from pipeline.processors.alerts.minutes import minute_of
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.windows import Windows
from schemas.signals import Signal

SWEEP_EVERY = timedelta(minutes=1)
SWEEP_MOST = 15
AGAIN_STEPS = 12
"""Of the steps that rings hold no more, so many are read again in a minute: a poller may touch old ones without end."""
_CORRECTED = (LATE_STEPS - 1) * STEP_MINUTES


class Touched:
    """Brands by minute. Restart: empty, but for `late`; the evaluator reads all minutes since its watermark."""

    def __init__(self) -> None:
        self._brands: dict[int, set[str]] = {}
        self._past: dict[int, set[str]] = {}
        """Minutes that the histories have to read again."""
        self._reached: dict[int, set[str]] = {}
        """Minutes whose later ones were not judged again yet."""
        self._end = 0
        self.late = LateDays()

    def add(self, signal: Signal, watermark: datetime, now: datetime) -> None:
        """Takes in a signal's minutes."""
        for at, brands in signal.touched.items():
            self._brands.setdefault(minute_of(at), set()).update(brands)
            if watermark - at > OLD:
                self.late.note(minute_of(at), now)

    def take(self, minute: int) -> dict[int, set[str]]:
        """The minutes up to this one; those after it, which events of the future touched, stay."""
        due = {m: brands for m, brands in self._brands.items() if m <= minute}
        self._brands = {m: brands for m, brands in self._brands.items() if m > minute}
        return due

    def recent(self, minutes: Mapping[int, set[str]], now: int, length: int) -> dict[int, set[str]]:
        """Those of the last `length` minutes, which rings hold; those too old for `History.correct` wait for `take_past`."""
        for minute, brands in minutes.items():
            if minute - minute % STEP_MINUTES <= now - _CORRECTED:
                self._past.setdefault(minute, set()).update(brands)
        return {minute: brands for minute, brands in minutes.items() if now - minute < length}

    def take_past(self, histories: Collection[History]) -> list[int]:
        """The steps to be read again before the next `to_judge`, the newest AGAIN_STEPS; the others next time. Those that are
        in no window any more are forgotten."""
        first = min((history.apart for history in histories), default=sys.maxsize)
        steps = sorted({minute // STEP_MINUTES for minute in self._past if minute >= first}, reverse=True)[:AGAIN_STEPS]
        taken = {minute for minute in self._past if minute // STEP_MINUTES in steps}
        self._reached |= {minute: self._reached.get(minute, set()) | self._past[minute] for minute in taken}
        self._past = {minute: brands for minute, brands in self._past.items() if minute >= first and minute not in taken}
        return steps

    def to_judge(self, touched: Mapping[int, set[str]], minutes: range, windows: Windows) -> dict[int, set[str]]:
        """As `holding`, of the rules' windows. Once a minute also those with a touched one in a longer window of a spike, which
        changes little with each event."""
        for at, brands in touched.items():
            self._reached.setdefault(at, set()).update(brands)
        if minutes.stop == self._end and windows.reach > windows.longest:
            return holding(touched, minutes, windows.longest)
        reached, self._reached, self._end = self._reached, {}, minutes.stop
        return holding(reached, minutes, windows.reach)


def holding(touched: Mapping[int, Collection[str]], minutes: range, longest: int) -> dict[int, set[str]]:
    """Those of the minutes whose window of up to `longest` minutes holds a touched one, and the brands of these."""
    brands: dict[int, set[str]] = {}
    for at, names in touched.items():
        for minute in range(max(at, minutes.start), min(at + longest, minutes.stop)):
            brands.setdefault(minute, set()).update(names)
    return brands


class Sweep:
    """The minutes of the longest window in turn, to be read again for all brands: nobody signals a rematch or a rescore, and a
    signal may be left out.

    Within SWEEP_EVERY the two newest minutes have their turn, and SWEEP_MOST of all. So a minute is corrected within a minute,
    that of a window of an hour within four, and always before it leaves its window. The minutes are those of the events' time.
    Restart: all minutes have just been read.

    Cost: the rows of SWEEP_MOST + 2 minutes, each minute: with 300,000 rows in a minute, 0.014 of a core of ClickHouse.
    """

    def __init__(self, now: datetime) -> None:
        self._at = self._newest_at = now
        self._owed, self._turn = 0.0, 0

    def take(self, minute: int, longest: int, now: datetime) -> list[int]:
        """The minutes whose turn has come, of the `longest` minutes up to `minute` and the one before them, whose window may
        still be judged; after a pause, the others next time."""
        passed, self._at = max(now - self._at, timedelta()), now
        if longest <= 0:
            return []
        longest += 1
        self._owed = min(self._owed + passed / SWEEP_EVERY * min(longest, SWEEP_MOST), longest)
        count = min(int(self._owed), SWEEP_MOST)
        self._owed -= count
        first, self._turn = self._turn, self._turn + count
        # A window of n minutes has each remainder of n once.
        minutes = {minute - (minute - turn) % longest for turn in range(first, first + count)}
        self._newest_at = min(self._newest_at, now)  # the clock may have been set back
        if now - self._newest_at >= SWEEP_EVERY:
            self._newest_at = now
            minutes |= {minute - 1, minute}
        return sorted(minutes)
