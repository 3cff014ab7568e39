"""The life of alerts: pending, firing, acknowledged, resolved. Pure: no clock of its own, no database, no notifications.

One alert is open for a rule and scope at a time. Its key comes from its beginning, so that a replay or a restart derives the
same key again. A condition that is true while the alert is open, or within the rule's `resolve` of that, belongs to it; one
from before it may belong to an ended alert, which is nearer.

An event that came to match a single-event rule more than an hour ago notifies nobody: it is stored as `historical`, one alert
an hour. So are the alerts of a backtest through windows that old, when no late events come any more (pipeline/control/).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from pipeline.processors.alerts.changes import (
    Subject,
    ahead,
    condition_change,
    condition_of,
    escalates,
    event_alert,
    event_change,
    first_alert,
    has_ended,
    is_over,
    persistence_of,
    subject_of,
    taken_out,
    trial,
    with_mute,
)
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.minutes import time_of
from pipeline.processors.alerts.old_events import OldEvents
from pipeline.processors.alerts.rule_types import AnyRule, EventRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.silences import Silence, muted_by
from pipeline.processors.alerts.verdicts import STILL, TRUE, UNDECIDED, UNKNOWN, Verdicts
from schemas.alerts import Alert, Change, Member, Scope, State, alert_key
from schemas.signals import Candidate

OLD = timedelta(hours=1)
REMEMBERED = timedelta(hours=8)
"""How long a resolved alert is remembered, by the events' time: longer than any window and `OLD` together."""
SAVE_EVERY, LATE = timedelta(seconds=10), timedelta(minutes=3)
OPEN = (State.PENDING, State.FIRING, State.ACKNOWLEDGED)


class Lifecycle:
    """Restart: give it the open alerts, and those that were resolved within `REMEMBERED`."""

    def __init__(self, config: Alerts, alerts: Iterable[Alert] = (), silences: Iterable[Silence] = ()) -> None:
        self.config = config
        self.silences = {silence.silence_id: silence for silence in silences}
        self._open: dict[Subject, Alert] = {}
        self._ended: dict[Subject, list[Alert]] = defaultdict(list)
        self.old_events = OldEvents()
        self._unsaved: dict[Subject, datetime] = {}
        """Alerts that differ from their newest saved change, and since when."""
        self._undecided: dict[Subject, datetime] = {}  # when a condition last was; judged again before anything ends
        self.resumed = time_of(0)  # nobody judged the minutes before it: what is true then may never have been over
        for alert in alerts:
            if alert.state in OPEN:
                self._open[subject_of(alert)] = alert
            else:
                self._ended[alert.rule, alert.scope].append(alert)

    @property
    def open(self) -> list[Alert]:
        return list(self._open.values())

    def by_key(self, key: int) -> Alert | None:
        """The open alert of this key."""
        return next((alert for alert in self._open.values() if alert.key == key), None)

    # --- windows ------------------------------------------------------------------------------------------------------
    def take_verdicts(self, verdicts: Iterable[Verdicts], now: datetime, late: bool = False) -> list[Alert]:
        """Takes over verdicts of one minute. A brand as a whole comes before its platforms, which it may inhibit.

        `late`: the minute was judged before, with fewer events: a true condition counts, a false one ends nothing."""
        changes = []
        for each in sorted(verdicts, key=lambda verdicts: len(verdicts.rules[0].by)):
            changes += self._keep_or_drop(each, now, late)
            for row, column in np.argwhere(each.codes == TRUE):
                changes += self.met(condition_of(each, int(row), int(column)), now)
        return changes

    def _keep_or_drop(self, verdicts: Verdicts, now: datetime, late: bool) -> list[Alert]:
        """Open alerts whose condition is not true: a pending one is dropped, one that is STILL true or UNDECIDED goes on."""
        columns = {rule.name: column for column, rule in enumerate(verdicts.rules)}
        open_ = [alert for alert in self._open.values() if alert.rule in columns]
        rows = {scope: row for row, scope in enumerate(verdicts.scopes)} if open_ else {}
        changes = []
        for alert in open_:
            row = rows.get(alert.scope)
            code = UNKNOWN if row is None else verdicts.codes[row, columns[alert.rule]]
            if code == UNDECIDED:
                before = self._undecided.get(subject_of(alert), alert.last_at)
                self._undecided[subject_of(alert)] = max(before, time_of(verdicts.minute))
            elif alert.state == State.PENDING and code not in (TRUE, UNKNOWN) and not late:
                changes += self.not_met(alert.rule, alert.scope, now)
            elif alert.state != State.PENDING and code == STILL:
                self._update(alert, {"last_at": max(alert.last_at, time_of(verdicts.minute))}, now)
        return changes

    def met(self, condition: Condition, now: datetime) -> list[Alert]:
        """A condition is true; `condition.start` is never more than an hour ago."""
        changes, alert = self._open_at((condition.rule.name, condition.scope), condition.start, now)
        earlier = alert is None or condition.start < alert.since
        if earlier and (of_ended := self._of_ended(condition, alert, now)) is not None:
            return changes + of_ended
        if alert is None:
            return [*changes, self._save(first_alert(condition, now), now)]
        change = condition_change(alert, condition)
        if alert.state == State.PENDING and condition.end - alert.since >= persistence_of(condition.rule):
            change |= {"state": State.FIRING, "raised_at": now}
            return [self._save(alert.change(now, **change), now)]
        self._update(alert, change, now)
        return []

    def _open_at(self, subject: Subject, at: datetime, now: datetime) -> tuple[list[Alert], Alert | None]:
        """The open alert that a condition of this time belongs to. One that was over before resolves: a restart reads both."""
        alert = self._open.get(subject)
        if alert is None or alert.test or alert.is_no_data or at <= self.resumed:
            return [], alert
        undecided = self._undecided.get(subject, alert.last_at)
        over = is_over(alert, self.config.rule(alert.rule), undecided, at)
        return ([self.resolve(alert, now)], None) if over else ([], alert)

    def _of_ended(self, condition: Condition, open_: Alert | None, now: datetime) -> list[Alert] | None:
        """The change of the ended alert to which the condition belongs, if it changes; None: it belongs to none of them."""
        for index, known in enumerate(ended := self._ended.get((condition.rule.name, condition.scope), [])):
            if condition.belongs_to(known, open_):
                since, last_at = min(known.since, condition.start), max(known.last_at, condition.end)
                if (since, last_at) == (known.since, known.last_at):
                    return []
                # Late events or labels say that it lasted longer; the minutes after this one belong to it, too.
                ended[index] = known.change(now, since=since, last_at=last_at, ended_at=last_at)
                return [ended[index]]
        return None

    def not_met(self, rule: str, scope: Scope, now: datetime) -> list[Alert]:
        """A pending alert is dropped and a source that sends again resolves at once; other alerts end in `sweep`."""
        alert = self._open.get((rule, scope))
        over = alert is not None and (alert.state == State.PENDING or alert.is_no_data)
        return [self.resolve(alert, now)] if alert is not None and over else []

    # --- single events ------------------------------------------------------------------------------------------------
    def single(self, candidates: Sequence[Candidate], now: datetime) -> tuple[list[Alert], list[Member]]:
        """Takes over events that no alert holds yet (table alert_events). Old ones: `old_events.recall` before."""
        changes, members = [], []
        for candidate in sorted((each.heard(now) for each in candidates), key=lambda candidate: candidate.at):
            rule = self.config.rule(candidate.rule)
            if not isinstance(rule, EventRule):
                continue  # the rule has been taken out since
            if now - candidate.at > OLD:
                alert = self.old_events.record(rule, candidate, now)
            else:
                raised, alert = self._ingest(rule, candidate, now)
                changes += raised
            members.append(Member(rule.name, candidate.brand, candidate.event_key, alert.key, candidate.created_at))
        keys = {member.alert_key for member in members}
        return changes + self.old_events.of(keys), members

    def _ingest(self, rule: EventRule, candidate: Candidate, now: datetime) -> tuple[list[Alert], Alert]:
        subject = rule.name, Scope(candidate.brand)
        key = alert_key(*subject, candidate.event_key)
        for known in (self._open.get(subject), *self._ended.get(subject, ())):
            if known is not None and known.key == key:
                return [], known  # its event was not stored yet when a process was killed
        changes, alert = self._open_at(subject, candidate.at, now)
        if alert is not None:
            return [], self._update(alert, event_change(alert, rule, candidate), now)
        alert = event_alert(rule, candidate, key, State.FIRING, now)
        return [*changes, self._save(replace(alert, raised_at=now), now)], alert

    # --- time, people -------------------------------------------------------------------------------------------------
    def sweep(self, watermark: datetime, now: datetime, settled: bool = True) -> list[Alert]:
        """The effects of time: alerts end or, once `settled`, escalate; silences begin and end; updates are saved."""
        changes = [change for alert in self.open if (change := self._swept(alert, watermark, now, settled)) is not None]
        for subject, ended in list(self._ended.items()):
            ended[:] = [alert for alert in ended if watermark - alert.last_at < REMEMBERED]
            if not ended:
                del self._ended[subject]
        return changes

    def _swept(self, alert: Alert, watermark: datetime, now: datetime, settled: bool) -> Alert | None:
        subject, rule = subject_of(alert), self.config.rule(alert.rule)
        alert = self._update(alert, change, now) if (change := ahead(alert, now)) else alert
        undecided = self._undecided.get(subject, alert.last_at)
        if why := taken_out(alert, rule):
            return self.resolve(alert, now, why)
        if (alert.test or not alert.is_no_data) and has_ended(alert, rule, undecided, watermark, now):
            return self.resolve(alert, now)
        if (muted := self._muted(alert, now)) != alert.muted:
            return self._save(with_mute(alert.change(now), muted, now), now)
        if settled and escalates(alert, rule, now):
            return self._save(alert.change(now, escalated_at=now), now)
        return self._save(alert.change(now), now) if abs(now - self._unsaved.get(subject, now)) >= SAVE_EVERY else None

    def acknowledge(self, alert: Alert, actor: str, comment: str, now: datetime) -> Alert:
        """The alert as acknowledged by `actor`."""
        return self._save(alert.change(now, state=State.ACKNOWLEDGED, actor=actor, comment=comment), now)

    def explained(self, alert: Alert, now: datetime, terms: tuple[str, ...], samples: tuple[int, ...]) -> Alert:
        """The alert with its explanation."""
        return self._save(alert.change(now, terms=terms, samples=alert.samples or samples), now)

    def test(self, rule: AnyRule, brand: str, actor: str, now: datetime) -> Alert:
        """A test of the rule's receivers: an alert without a condition, resolved a minute later."""
        alert = trial(rule, brand, actor, now)
        self._open[subject_of(alert)] = alert
        return alert

    def resolve(self, alert: Alert, now: datetime, comment: str = "") -> Alert:
        """The end of an open alert; `comment` says why, where its condition does not."""
        subject = subject_of(alert)
        del self._open[subject]
        self._unsaved.pop(subject, None)
        self._undecided.pop(subject, None)
        resolved = alert.change(now, state=State.RESOLVED, ended_at=alert.last_at, muted="", comment=comment or alert.comment)
        if not alert.test:
            self._ended[subject].append(resolved)
        return resolved

    # --- within -------------------------------------------------------------------------------------------------------
    def _save(self, alert: Alert, now: datetime) -> Alert:
        if alert.state == State.FIRING and not alert.test:
            alert = with_mute(alert, self._muted(alert, now), now)
        subject = subject_of(alert)
        self._open[subject] = alert
        self._unsaved.pop(subject, None)
        return alert

    def _update(self, alert: Alert, change: Change, now: datetime) -> Alert:
        """The alert with the change, to be saved by a later `sweep`."""
        updated, subject = replace(alert, **change), subject_of(alert)
        if updated != alert:
            self._open[subject] = updated
            # What is judged late is not judged again after a restart: the next sweep saves it.
            self._unsaved[subject] = now - SAVE_EVERY if now - updated.last_at > LATE else self._unsaved.get(subject, now)
        return updated

    def _muted(self, alert: Alert, now: datetime) -> str:
        return muted_by(self.silences.values(), self._open.values(), alert, now)
