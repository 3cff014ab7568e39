"""Days whose windows are judged again, by a backtest, because events changed their minutes too late to notify anybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.processors.alerts.lifecycle import OLD
from pipeline.processors.alerts.minutes import DAY_MINUTES, time_of
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.store import AlertStore, LateDay
from schemas.alerts import Alert, State

DAY = timedelta(days=1)
QUIET = timedelta(seconds=10)
"""A day is due once its minutes have not changed for so long ..."""
LONGEST_WAIT = timedelta(hours=1)
"""... and at the latest so long after the first change: a poller may update old posts all the time."""
BACKOFF = timedelta(hours=1), timedelta(hours=4), timedelta(days=1)
"""So long after a backtest, also a failed one, the day may have its next, from the third on once a day: likes on old posts
touch some days without end, and each backtest reads four weeks. After a start, each day waits as after its first backtest,
which may have ended the process before."""


class _Waiting(NamedTuple):
    first: int
    """The minutes that changed are from this one to `last`."""
    last: int
    since: datetime
    changed_at: datetime


class LateDays:
    """Memory, and table alert_late_days once a second. Restart: `read`."""

    def __init__(self) -> None:
        self._days: dict[int, _Waiting] = {}
        """By day since 1970."""
        self._running: tuple[int, _Waiting] | None = None
        """The day whose backtest runs, or has failed."""
        self._unsaved = set[int]()
        self._turns: dict[int, tuple[int, datetime]] = {}
        """By day: how many backtests it had, and when the next may begin. Days without one are missing."""

    def read(self, store: AlertStore, now: datetime) -> None:
        """Takes over the days of the table."""
        self._days = {each.day: _Waiting(each.first, each.last, now, now) for each in store.late_days()}
        self._running, self._unsaved = None, set()
        self._turns = {day: (1, now + BACKOFF[0]) for day in self._days}

    def note(self, minute: int, now: datetime) -> None:
        """Events of this minute came late."""
        day = minute // DAY_MINUTES
        known = self._days.get(day)
        first, last, since, _ = known or _Waiting(minute, minute, now, now)
        self._days[day] = _Waiting(min(first, minute), max(last, minute), since, now)
        if known is None or not first <= minute <= last:
            self._unsaved.add(day)

    def save(self, store: AlertStore, now: datetime, generation: int) -> None:
        """On return the table has all that changed."""
        if self._unsaved:
            store.write_late_days([self._stored(day) for day in sorted(self._unsaved)], now, generation)
            self._unsaved.clear()

    def take(self, now: datetime, longest: int) -> tuple[datetime, datetime] | None:
        """The span of the due day that has waited longest, with windows of `longest` minutes at most; None: no day is due.
        The day stays in the table until it is `done`."""
        if self._running is not None:
            day, failed = self._running
            first, last = self._span(day)
            self._days[day] = failed._replace(first=first, last=last)
            self._running = None
        self._turns = {day: turn for day, turn in self._turns.items() if now - turn[1] < BACKOFF[-1]}
        due = [(waiting.since, day) for day, waiting in self._days.items() if self._is_due(day, now)]
        if not due:
            return None
        _, day = min(due)
        waiting = self._days.pop(day)
        self._running = day, waiting
        turns = self._turns[day][0] if day in self._turns else 0
        self._turns[day] = turns + 1, now + BACKOFF[min(turns, len(BACKOFF) - 1)]
        return time_of(waiting.first), min(time_of(waiting.last + longest), now - OLD)

    def done(self) -> None:
        """The day that was taken last has been judged, and its alerts are stored."""
        if self._running is not None:
            self._unsaved.add(self._running[0])
            self._running = None

    def _is_due(self, day: int, now: datetime) -> bool:
        waiting = self._days[day]
        if day in self._turns and now < self._turns[day][1]:
            return False
        return now - waiting.changed_at >= QUIET or now - waiting.since >= LONGEST_WAIT

    def _span(self, day: int) -> tuple[int, int]:
        parts = [self._days[day]] if day in self._days else []
        parts += [self._running[1]] if self._running is not None and self._running[0] == day else []
        return min(part.first for part in parts), max(part.last for part in parts)

    def _stored(self, day: int) -> LateDay:
        waits = day in self._days or (self._running is not None and self._running[0] == day)
        first, last = self._span(day) if waits else (day * DAY_MINUTES, day * DAY_MINUTES)
        return LateDay(day, first, last, not waits)


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
