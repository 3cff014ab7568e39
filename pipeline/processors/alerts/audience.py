"""Audience: which receivers would be notified of an alert, and at which hours nobody would. It sends nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from pipeline.config.week import DAY, NAMES, WEEK
from pipeline.processors.alerts.hours import MINUTE, When, in_hours, next_in_hours, text_of
from pipeline.processors.alerts.receiver import Receiver
from pipeline.processors.alerts.rule_types import AnyRule, SpikeRule
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State

YEAR = 366 * DAY
_QUARTER = 15
"""Minutes: clocks change at a quarter of an hour by UTC."""
_MONDAY = 3 * DAY
"""1970 began on a Thursday."""


# --- hours at which nobody is notified --------------------------------------------------------------------------------
def uncovered_hours(config: Alerts, rule: AnyRule, start: datetime) -> list[str]:
    """The spans of a week in which nobody is notified of a new alert of the rule, neither at once nor by its escalation.

    All of a year from `start`, as people write them, the longest first. Empty also if nobody ever is."""
    receivers = [
        receiver
        for receiver in (*config.receivers_of(rule.name), *config.escalated_of(rule.name))
        if receiver.min_severity <= highest_severity(rule)
    ]
    if not receivers or any(_at_any_hour(receiver, rule) for receiver in receivers):
        return []
    first = int(start.timestamp()) // 60
    bits = np.zeros(YEAR // 8, np.uint8)
    for receiver in receivers:
        for when in receiver.when:
            bits |= _minutes(when, first)
    covered = np.unpackbits(bits).astype(bool)
    zone = receivers[0].when[0].zone
    spans = {_Span.of(first + begin, first + end, zone) for begin, end in _gaps(covered)}
    return [f"{span.begin} to {span.end} {zone}" for span in sorted(spans, key=lambda span: (-span.minutes, span.at))]


def _at_any_hour(receiver: Receiver, rule: AnyRule) -> bool:
    return not receiver.when or (receiver.always is not None and receiver.always.names(rule.name, rule.severity))


@cache  # 66 kB each; the command that checks rules asks for those of every receiver again for each rule
def _minutes(when: When, first: int) -> npt.NDArray[np.uint8]:
    """Of each minute of a year from `first` on (minutes since 1970): whether it is in these hours. A bit each."""
    minutes = np.arange(first, first + YEAR)
    local = minutes + _ahead(when.zone, first)[minutes // _QUARTER - first // _QUARTER] + _MONDAY
    return np.packbits(when.week[local % WEEK])


@cache  # 0.1 s each
def _ahead(zone: str, first: int) -> npt.NDArray[np.int64]:
    """By how many minutes the zone's clock is ahead of UTC, in each quarter of an hour of a year from that of `first` on."""
    quarters = range(first // _QUARTER, (first + YEAR) // _QUARTER + 1)
    moments = (datetime.fromtimestamp(quarter * _QUARTER * 60, ZoneInfo(zone)) for quarter in quarters)
    return np.array([(moment.utcoffset() or timedelta()) // MINUTE for moment in moments])


def _gaps(covered: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The spans without a covered minute: the first minute, and that after the last. Without those at both ends of the year,
    which are not known as a whole."""
    begins = np.flatnonzero(covered[:-1] & ~covered[1:]) + 1
    ends = np.flatnonzero(~covered[:-1] & covered[1:]) + 1
    return zip(begins.tolist(), ends[ends > begins[:1].sum()].tolist(), strict=False)


class _Span(NamedTuple):
    """Of a week, by the wall clock."""

    at: int
    """Its first minute."""
    minutes: int
    begin: str
    """`fri 18:00`."""
    end: str

    @classmethod
    def of(cls, begin: int, end: int, zone: str) -> _Span:
        """From and to these minutes since 1970."""
        first, last = (datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).replace(tzinfo=None) for minute in (begin, end))
        texts = (f"{NAMES[local.weekday()][:3]} {local:%H:%M}" for local in (first, last))
        return cls(first.weekday() * DAY + first.hour * 60 + first.minute, (last - first) // MINUTE, *texts)


def highest_severity(rule: AnyRule) -> int:
    """Of its alerts. A spike's severity is known when it comes: it may be the highest."""
    return 10 if isinstance(rule, SpikeRule) else rule.severity


# --- who is notified --------------------------------------------------------------------------------------------------
def untested(config: Alerts, rule: AnyRule, at: datetime) -> list[str]:
    """What a test of the rule at this time leaves open: a line for each receiver that is out of its hours, and for each that
    no alert of the rule reaches although the test does."""
    lines = []
    for receiver in (*config.receivers_of(rule.name), *config.escalated_of(rule.name)):
        always = receiver.always is not None and receiver.always.names(rule.name, rule.severity)
        if not (always or in_hours(receiver.when, at)):
            lines.append(f"{receiver.name} is out of its hours ({text_of(receiver.when)}): not sent")
        if receiver.min_severity > highest_severity(rule):
            takes = f"{receiver.name} takes severity {receiver.min_severity} and more"
            lines.append(f"{takes}: a real alert of this rule has {rule.severity}")
    return list(dict.fromkeys(lines))


class Notified(NamedTuple):
    """A receiver is notified of an alert that it did not know, or that was escalated to it."""

    receiver: str
    at: datetime
    escalated: bool


class Hearing:
    """Who is notified of alerts as time goes on: of their changes, in order, where nobody acknowledges any."""

    def __init__(self, config: Alerts) -> None:
        self._first = {rule.name: config.receivers_of(rule.name) for rule in config.rules}
        self._later = {rule.name: config.escalated_of(rule.name) for rule in config.rules}
        self._newest: dict[int, Alert] = {}
        self._notified: defaultdict[int, dict[tuple[str, bool], Notified]] = defaultdict(dict)

    def note(self, alert: Alert) -> None:
        """Takes in a change."""
        before = self._newest.get(alert.key)
        if before is not None:
            self._until(before, alert.changed_at)
        self._newest[alert.key] = alert

    def finish(self, end: datetime) -> None:
        """No change comes any more until this time."""
        for alert in self._newest.values():
            self._until(alert, end)

    def of(self, key: int) -> list[Notified]:
        """Who is notified of this alert, in order."""
        return sorted(self._notified[key].values(), key=lambda each: (each.at, each.receiver))

    def _until(self, alert: Alert, end: datetime) -> None:
        """The alert was like this until then."""
        if alert.state is not State.FIRING or alert.muted:
            return
        called = [(receiver, False) for receiver in self._first.get(alert.rule, ())]
        if alert.escalated_at is not None:
            called += [(receiver, True) for receiver in self._later.get(alert.rule, ())]
        known = self._notified[alert.key]
        for receiver, escalated in called:
            if (receiver.name, escalated) in known or alert.severity < receiver.min_severity:
                continue
            at = alert.changed_at
            if not receiver.hears(alert, at):
                at = next_in_hours(receiver.when, at)
            if at < end:
                known[receiver.name, escalated] = Notified(receiver.name, at, escalated)
