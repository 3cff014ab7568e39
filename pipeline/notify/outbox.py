"""Outbox: what one receiver knows of each alert, and what it is still to be told. Time is an argument here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from pipeline.notify.delivery_log import Sent
from pipeline.notify.receivers import group_of
from pipeline.processors.alerts.rules import Alerts, Receiver
from schemas.alerts import Alert, State

MOST_ALERTS = 50
"""In one message."""
MOST_KEPT = 10_000
"""Alerts in a book, each with two changes that wait at most."""


class Change(NamedTuple):
    """What is still to be told."""

    alert: Alert
    asked: float
    reminder: int = 0
    """It was told already, and again was due at this time (s since 1970); 0: it is new."""

    @property
    def id(self) -> str:
        return f"{self.alert.hex}-{self.alert.version}" + (f"-{self.reminder}" if self.reminder else "")


@dataclass(slots=True)
class Incident:
    """One alert, as one receiver has it."""

    alert: Alert
    """The newest change, told or not."""
    told: Alert | None = None
    """The newest change that was accepted."""
    accepted_at: float = 0.0
    """By the clock on the wall: it comes from the delivery log after a restart."""
    attempts: int = 0
    waiting: list[Change] = field(default_factory=list)
    """The newest change that is to be told; before it the first one, while nothing was accepted yet."""
    due: float = 0.0
    """Not before."""
    refusals: int = 0
    alone: bool = False
    """Its message was refused: it is not told with others, which may be well."""


class Outbox:
    """Order is kept within an alert: an opening that was never accepted goes with what came last, in one message. Of what came
    between, the newest wins."""

    def __init__(self, receiver: Receiver, config: Alerts) -> None:
        self.use(receiver, config)
        self._incidents: dict[int, Incident] = {}
        self._waiting: dict[int, Incident] = {}
        self._messages: dict[tuple[str, ...], float] = {}  # when the last one of each group went

    def use(self, receiver: Receiver, config: Alerts) -> None:
        self._min_severity = receiver.min_severity
        self._by = config.group.by
        self._repeat = {rule.name: rule.repeat.total_seconds() for rule in config.rules}
        self._groups = receiver.type != "alertmanager"  # it groups by itself
        self._interval = config.group.interval.total_seconds() if self._groups else 0.0

    def __len__(self) -> int:
        return len(self._incidents)

    @property
    def waiting(self) -> Iterable[Incident]:
        return self._waiting.values()

    # --- changes come in ------------------------------------------------------------------------------------------------
    def know(self, alert: Alert, sent: Sent) -> None:
        """What the delivery log says of the alert, before anything is told."""
        if sent.state:
            told = replace(alert, version=sent.version, state=State(sent.state), severity=sent.severity)
            incident = Incident(told, told, sent.at.timestamp(), sent.attempts)
        else:
            incident = Incident(replace(alert, version=0), attempts=sent.attempts)
        if not self._over(incident):
            self._incidents[alert.key] = incident

    def note(self, alert: Alert, listed: bool) -> bool:
        """Whether the change is news for this receiver, or only noted. `listed`: the alert's rule names the receiver."""
        incident = self._incidents.get(alert.key)
        if incident is None:
            news = alert.state is not State.RESOLVED and not alert.muted and alert.severity >= self._min_severity
            return listed and (news or alert.test)
        if alert.version <= incident.alert.version:
            return False
        incident.alert = alert
        if alert.state is State.RESOLVED or alert.test:
            return True
        last = incident.waiting[-1].alert if incident.waiting else incident.told
        if alert.muted:
            return False
        if last is None:
            return listed and alert.severity >= self._min_severity
        return alert.state is not last.state or alert.severity > last.severity

    def put(self, change: Change) -> Incident:
        """The change is to be told: at once, or with others of its group when that has had a message just now."""
        alert = change.alert
        incident = self._incidents.setdefault(alert.key, Incident(alert))
        opening = incident.waiting[:1] if incident.told is None else []
        incident.waiting = [*opening, change]
        last = self._messages.get(self._group(incident))
        incident.due = 0.0 if last is None else last + self._interval
        self._waiting[alert.key] = incident
        return incident

    def remind(self, now: float, clock: float) -> None:
        """Puts in again what fires, when its rule's `repeat` has passed since it was told."""
        for incident in self._incidents.values():
            alert = incident.alert
            if incident.waiting or incident.told is None or alert.state is not State.FIRING or alert.muted or alert.test:
                continue
            due = incident.accepted_at + self._repeat.get(alert.rule, math.inf)
            if clock >= due:
                self.put(Change(alert, now, int(due)))

    def make_room(self, key: int) -> Incident | None:
        """Lets the oldest alert go where the book is full: one that has ended and can't be told, before one that is open."""
        if key in self._incidents or len(self._incidents) < MOST_KEPT:
            return None
        ended = (i for i in self.waiting if i.alert.state is State.RESOLVED)
        oldest = next(ended, None) or next(iter(self.waiting), None) or next(iter(self._incidents.values()))
        self.forget(oldest)
        return oldest

    def forget(self, incident: Incident) -> None:
        self._incidents.pop(incident.alert.key, None)
        self._waiting.pop(incident.alert.key, None)

    # --- messages go out ------------------------------------------------------------------------------------------------
    def batch(self, now: float, all_due: bool) -> list[Incident]:
        """What the next message tells: of one group, with what of it was held back. `all_due`: nothing is held back."""
        first = next((i for i in self.waiting if i.due <= now or (all_due and not i.refusals)), None)
        if first is None:
            return []
        batch = [first]
        if not first.alone:
            group = self._group(first)
            fellows = (i for i in self.waiting if i is not first and not i.alone and self._group(i) == group)
            batch += islice(fellows, MOST_ALERTS - 1)
        self._messages = {name: at for name, at in self._messages.items() if at + self._interval > now}
        self._messages[self._group(first)] = now
        return batch

    def accepted(self, incident: Incident, newest: Alert, clock: float) -> None:
        """The receiver has taken all changes up to this one."""
        incident.told, incident.accepted_at = newest, clock
        incident.waiting = [change for change in incident.waiting if change.alert.version > newest.version]
        incident.alone, incident.refusals = False, 0
        if not incident.waiting:
            self._waiting.pop(newest.key, None)
            if self._over(incident):
                self.forget(incident)

    def postpone(self, batch: list[Incident]) -> None:
        """Others come first: were it one of these that the receiver fails over, nothing else would ever be told."""
        for incident in batch:
            if self._waiting.pop(incident.alert.key, None) is not None:
                self._waiting[incident.alert.key] = incident

    def standing(self) -> list[Incident]:
        """What Alertmanager has been told, and is to be told again lest it forgets."""
        return [i for i in self._incidents.values() if i.told is not None and not i.waiting and not i.told.test]

    def _over(self, incident: Incident) -> bool:
        told = incident.told
        return told is not None and (told.test or (told.state is State.RESOLVED and self._groups))

    def _group(self, incident: Incident) -> tuple[str, ...]:
        if not self._groups:
            return ()
        # A test keeps no true alert waiting.
        return ("test" if incident.alert.test else "", *group_of(incident.alert, self._by).values())
