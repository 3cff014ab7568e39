"""Outbox: for one receiver, the change of each alert that it accepted last, and those that wait. Time is an argument here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from pipeline.notify.delivery_log import Sent
from pipeline.notify.receivers import group_of
from pipeline.processors.alerts.hours import in_hours
from pipeline.processors.alerts.receiver import Receiver
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State

MOST_ALERTS = 50
"""Alerts in one message."""
MOST_KEPT = 10_000
"""Alerts in an outbox, each with two waiting changes at most."""


class Change(NamedTuple):
    """A change of an alert that is still to be sent."""

    alert: Alert
    queued_at: float
    reminder: int = 0
    """When this reminder was due (s since 1970); 0: not a reminder."""
    escalation: bool = False
    """The receiver is notified because the alert was escalated."""
    held: bool = False
    """It waited for the receiver's hours."""

    @property
    def id(self) -> str:
        """Names the change to the receiver, the same at each try. Of an escalation it is the same in another process, too: that
        may find a later version of the alert."""
        if self.escalation and self.alert.escalated_at:
            return f"{self.alert.hex}-escalated-{int(self.alert.escalated_at.timestamp())}"
        return f"{self.alert.hex}-{self.alert.version}" + (f"-{self.reminder}" if self.reminder else "")


@dataclass(slots=True)
class Incident:
    """One alert, as one receiver knows it."""

    alert: Alert
    """The newest change, sent or not."""
    accepted: Alert | None = None
    """The newest change that the receiver accepted."""
    accepted_at: float = 0.0
    """Seconds since 1970: after a restart it comes from the delivery log."""
    attempts: int = 0
    waiting: list[Change] = field(default_factory=list)
    """The newest change that is to be sent; before it the first one, while nothing was accepted yet."""
    due: float = 0.0
    """Not sent before (seconds of the queue's clock)."""
    refusals: int = 0
    alone: bool = False
    """Its message was refused: it is not sent with others, which may be accepted."""

    @property
    def last(self) -> Alert | None:
        """The newest change that the receiver has accepted or will get; None: none yet."""
        return self.waiting[-1].alert if self.waiting else self.accepted


class Outbox:
    """Keeps the order within an alert: an opening that was never accepted goes in one message with the newest change; changes
    between them are left out."""

    def __init__(self, receiver: Receiver, config: Alerts) -> None:
        self.use(receiver, config)
        self._incidents: dict[int, Incident] = {}
        self._waiting: dict[int, Incident] = {}
        self._messages: dict[tuple[str, ...], float] = {}  # group -> when its last message went

    def use(self, receiver: Receiver, config: Alerts) -> None:
        """Other rules, or another form of the receiver, from now on."""
        self._receiver = receiver
        self._by = config.group.by
        self._repeat = {rule.name: rule.repeat.total_seconds() for rule in config.rules}
        self._groups = receiver.type != "alertmanager"  # it groups by itself
        self._interval = config.group.interval.total_seconds() if self._groups else 0.0

    def __len__(self) -> int:
        return len(self._incidents)

    @property
    def waiting(self) -> Iterable[Incident]:
        """Incidents with a change to send, in the order of their turn."""
        return self._waiting.values()

    # --- changes come in ------------------------------------------------------------------------------------------------
    def restore(self, alert: Alert, sent: Sent) -> None:
        """The delivery log's state of the alert; to be called before the first `is_news`."""
        if sent.state:
            escalated_at = alert.escalated_at if sent.escalated else None
            accepted = replace(
                alert, version=sent.version, state=State(sent.state), severity=sent.severity, escalated_at=escalated_at
            )
            incident = Incident(accepted, accepted, sent.at.timestamp(), sent.attempts)
        else:
            incident = Incident(replace(alert, version=0), attempts=sent.attempts)
        if not self._is_closed(incident):
            self._incidents[alert.key] = incident

    def is_news(self, alert: Alert, named: bool, escalated: bool = False) -> bool:
        """Notes the change; True: it is to be sent, too, by what was sent so far. `named`: the alert's rule names the receiver;
        `escalated`: the alert was escalated to it."""
        incident = self._incidents.get(alert.key)
        if incident is None:
            return (named and alert.test and alert.state is not State.RESOLVED) or self._opens(alert, named, escalated)
        if alert.version < incident.alert.version:
            return False
        incident.alert = alert
        last = incident.last
        if alert.state is State.RESOLVED or alert.test:
            return last is None or last.state is not alert.state
        if last is None or self.is_escalation(alert, escalated):
            return self._opens(alert, named, escalated)
        return not alert.muted and (alert.state is not last.state or alert.severity > last.severity)

    def _opens(self, alert: Alert, named: bool, escalated: bool) -> bool:
        """Whether it is news to a receiver that does not know the alert."""
        called = named or self.is_escalation(alert, escalated)
        heard = alert.state is not State.RESOLVED and not alert.muted
        return called and heard and alert.severity >= self._receiver.min_severity

    def is_escalation(self, alert: Alert, escalated: bool) -> bool:
        """Whether the receiver is to be notified because the alert was escalated: it still fires, and that is not sent yet."""
        incident = self._incidents.get(alert.key)
        last = incident.last if incident else None
        return escalated and alert.state is State.FIRING and (last is None or last.escalated_at is None)

    def add(self, change: Change) -> Incident:
        """The change is to be sent: at once, or with others of its group when that has had a message just now."""
        alert = change.alert
        incident = self._incidents.setdefault(alert.key, Incident(alert))
        opening = incident.waiting[:1] if incident.accepted is None else []
        incident.waiting = [*opening, change]
        last = self._messages.get(self._group(incident))
        incident.due = 0.0 if last is None else last + self._interval
        self._waiting[alert.key] = incident
        return incident

    def remind(self, now: float, clock: float) -> None:
        """Adds firing alerts again, when their rule's `repeat` has passed. `clock`: seconds since 1970."""
        for incident in self._incidents.values():
            alert = incident.alert
            if incident.waiting or incident.accepted is None or alert.state is not State.FIRING or alert.muted or alert.test:
                continue
            due = incident.accepted_at + self._repeat.get(alert.rule, math.inf)
            if clock >= due and self._receiver.hears(alert, _time(clock)):
                self.add(Change(alert, now, int(due)))

    def incident(self, alert: Alert) -> Incident:
        """The alert as the receiver knows it, or as one that it does not know."""
        return self._incidents.get(alert.key) or Incident(alert)

    def make_room(self, key: int) -> Incident | None:
        """Drops the oldest alert of a full outbox, and returns it: a waiting one that has ended, before an open one."""
        if key in self._incidents or len(self._incidents) < MOST_KEPT:
            return None
        ended = (i for i in self.waiting if i.alert.state is State.RESOLVED)
        oldest = next(ended, None) or next(iter(self.waiting), None) or next(iter(self._incidents.values()))
        self.drop(oldest)
        return oldest

    def drop(self, incident: Incident) -> None:
        """The alert is not known here any more."""
        self._incidents.pop(incident.alert.key, None)
        self._waiting.pop(incident.alert.key, None)

    # --- messages go out ------------------------------------------------------------------------------------------------
    def sendable(self, clock: float) -> Iterable[Incident]:
        """Of the waiting incidents those that the receiver may be notified of at this time (s since 1970)."""
        at = _time(clock)
        if in_hours(self._receiver.when, at):
            return self.waiting
        return [incident for incident in self.waiting if self._receiver.hears(incident.waiting[-1].alert, at)]

    def batch(self, now: float, clock: float, all_due: bool) -> list[Incident]:
        """The incidents of the next message, of one group, with those that were held back. `all_due`: nothing is held back."""
        waiting = self.sendable(clock)
        first = next((i for i in waiting if i.due <= now or (all_due and not i.refusals)), None)
        if first is None:
            return []
        batch = [first]
        if not first.alone:
            group = self._group(first)
            others = (i for i in waiting if i is not first and not i.alone and self._group(i) == group)
            batch += islice(others, MOST_ALERTS - 1)
        self._messages = {name: at for name, at in self._messages.items() if at + self._interval > now}
        self._messages[self._group(first)] = now
        return batch

    def accepted(self, incident: Incident, newest: Alert, clock: float) -> None:
        """The receiver has accepted all changes up to this one."""
        incident.accepted, incident.accepted_at = newest, clock
        incident.waiting = [change for change in incident.waiting if change.alert.version > newest.version]
        incident.alone, incident.refusals = False, 0
        if not incident.waiting:
            self._waiting.pop(newest.key, None)
            if self._is_closed(incident):
                self.drop(incident)

    def postpone(self, batch: list[Incident]) -> None:
        """Others come first: if the receiver fails because of one of these, the others still get through."""
        for incident in batch:
            if self._waiting.pop(incident.alert.key, None) is not None:
                self._waiting[incident.alert.key] = incident

    def standing(self) -> list[Incident]:
        """The incidents that Alertmanager has accepted, and has to get again lest it forgets them."""
        return [i for i in self._incidents.values() if i.accepted is not None and not i.waiting and not i.accepted.test]

    def _is_closed(self, incident: Incident) -> bool:
        last = incident.accepted
        return last is not None and last.state is State.RESOLVED and (last.test or self._groups)

    def _group(self, incident: Incident) -> tuple[str, ...]:
        if not self._groups:
            return ()
        # A test delays no true alert.
        return ("test" if incident.alert.test else "", *group_of(incident.alert, self._by).values())


def _time(clock: float) -> datetime:
    return datetime.fromtimestamp(clock, UTC)
