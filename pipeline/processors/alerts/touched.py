"""Minutes whose events changed: those to judge now, those to read again unasked, and those that are too old, which a backtest
goes through later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.processors.alerts.lifecycle import OLD
from pipeline.processors.alerts.minutes import DAY_MINUTES, minute_of, time_of
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State
from schemas.signals import Signal

DAY = timedelta(days=1)
QUIET = timedelta(seconds=10)
SWEEP_EVERY = timedelta(minutes=1)
SWEEP_MOST = 15


class Touched:
    """Brands by minute. Restart: empty; the evaluator reads all minutes since its watermark."""

    def __init__(self) -> None:
        self._brands: dict[int, set[str]] = {}
        self.late = LateMinutes()

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
        if now - self._newest_at >= SWEEP_EVERY:
            self._newest_at = now
            minutes |= {minute - 1, minute}
        return sorted(minutes)


class LateMinutes:
    """Restart: empty. A late minute whose backtest was still to come is forgotten."""

    def __init__(self) -> None:
        self._days: dict[int, tuple[int, int]] = {}
        """Day -> the first and the last of its minutes that were touched late."""
        self._noted_at = time_of(0)

    def note(self, minute: int, now: datetime) -> None:
        """Events of this minute came late."""
        first, last = self._days.get(minute // DAY_MINUTES, (minute, minute))
        self._days[minute // DAY_MINUTES] = min(first, minute), max(last, minute)
        self._noted_at = now

    def take(self, now: datetime, longest: int) -> tuple[datetime, datetime] | None:
        """The span of one day whose windows (of `longest` minutes at most) are to be judged again; None: no day is due yet."""
        if not self._days or now - self._noted_at < QUIET:
            return None
        first, last = self._days.pop(min(self._days))
        return time_of(first), min(time_of(last + longest), now - OLD)


def historical(alerts: Iterable[Alert], known: Sequence[Alert], config: Alerts, now: datetime) -> list[Alert]:
    """A backtest's alerts as historical ones, except those near a known alert of their rule and scope."""
    return [
        replace(
            alert, state=State.RESOLVED, historical=True, raised_at=None, version=1, muted="", changed_at=now,
            ended_at=alert.last_at, unmuted_at=None, escalated_at=None,
        )
        for alert in alerts
        if not any(_near(alert, other, config) for other in known)
    ]  # fmt: skip


def _near(alert: Alert, other: Alert, config: Alerts) -> bool:
    rule = config.rule(alert.rule)
    margin = rule.resolve if rule else DAY
    same = (alert.rule, alert.scope) == (other.rule, other.scope)
    return same and other.since - margin <= alert.last_at and alert.since <= other.last_at + margin
