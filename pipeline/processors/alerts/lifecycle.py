"""The life of alerts: pending, firing, acknowledged, resolved. Pure: no clock of its own, no database, nobody is told here.

One alert is open for a rule and scope at a time. Its key comes from what began it, so that whoever finds it again, after a
replay or a restart, finds the same one; what was true while it was open, or within the rule's `resolve` of that, belongs to it.

An event older than an hour raises nothing that is told: single-event rules put it on record as `historical`, one alert an hour;
windows that old are gone through once more when it is quiet (pipeline/control/app.py), and are on record in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from pipeline.processors.alerts import explain
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.counts import PLACE
from pipeline.processors.alerts.minutes import MINUTE_S
from pipeline.processors.alerts.rules import (
    Alerts,
    AnyRule,
    CampaignRule,
    KeywordRule,
    NoDataRule,
    ReachRule,
    platforms_of,
)
from pipeline.processors.alerts.silences import Silence, covering
from pipeline.processors.alerts.windows import STILL, TRUE, UNKNOWN, Verdicts
from schemas.alerts import Alert, Scope, State, alert_key
from schemas.signals import Candidate

OLD = timedelta(hours=1)
REMEMBERED = timedelta(hours=8)
"""How long a resolved one is remembered, by the events' time: longer than any window and `OLD` together."""
SAVE_EVERY = timedelta(seconds=10)
MINUTE = timedelta(seconds=MINUTE_S)
SAMPLES = 3
OPEN = (State.PENDING, State.FIRING, State.ACKNOWLEDGED)


class Member(NamedTuple):
    """An event that a single-event rule has seen: a row of table alert_events."""

    rule: str
    brand: str
    event_key: int
    alert_key: int
    created_at: datetime


class Lifecycle:
    """Restart: give it the alerts that are open, and those that were resolved within `REMEMBERED`."""

    def __init__(self, config: Alerts, alerts: Iterable[Alert] = (), silences: Iterable[Silence] = ()) -> None:
        self.config = config
        self.silences = {silence.silence_id: silence for silence in silences}
        self._open: dict[tuple[str, Scope], Alert] = {}
        self._over: dict[tuple[str, Scope], list[Alert]] = defaultdict(list)
        self._historical: dict[int, Alert] = {}
        self._unsaved: dict[tuple[str, Scope], datetime] = {}
        """What has gone on since it was saved, and when that was."""
        for alert in alerts:
            if alert.historical:
                self._historical[alert.key] = alert
            elif alert.state in OPEN:
                self._open[_place(alert)] = alert
            else:
                self._over[alert.rule, alert.scope].append(alert)

    @property
    def open(self) -> list[Alert]:
        return list(self._open.values())

    def by_key(self, key: int) -> Alert | None:
        return next((alert for alert in self._open.values() if alert.key == key), None)

    # --- windows ------------------------------------------------------------------------------------------------------
    def judged(self, verdicts: Iterable[Verdicts], now: datetime, late: bool = False) -> list[Alert]:
        """Takes over verdicts of one minute. A brand as a whole comes before its platforms, which it may inhibit.

        `late`: the minute was judged before, with less in it. What is true counts, what is not ends nothing.
        """
        changes = []
        for verdict in sorted(verdicts, key=lambda verdict: len(verdict.rules[0].by)):
            names = {rule.name: place for place, rule in enumerate(verdict.rules)}
            open_ = [alert for alert in self._open.values() if alert.rule in names]
            rows = {scope: row for row, scope in enumerate(verdict.scopes)} if open_ else {}
            for alert in open_:
                row = rows.get(alert.scope)
                says = UNKNOWN if row is None else verdict.truth[row, names[alert.rule]]
                if alert.state == State.PENDING and says not in (TRUE, UNKNOWN) and not late:
                    changes += self.untrue(alert.rule, alert.scope, now)
                elif alert.state != State.PENDING and says == STILL:
                    at = datetime.fromtimestamp(verdict.minute * MINUTE_S, UTC)
                    self._go_on(_place(alert), alert, {"last_at": max(alert.last_at, at)}, now)
            for row, place in np.argwhere(verdict.truth == TRUE):
                changes += self.true(_truth(verdict, int(row), int(place)), now)
        return changes

    def true(self, truth: Condition, now: datetime) -> list[Alert]:
        """Something is true; `truth.start` is never more than an hour ago."""
        place = truth.rule.name, truth.scope
        alert = self._open.get(place)
        if alert is None:
            return self._begin(truth, now)
        worse = truth.severity > alert.severity or (
            truth.severity == alert.severity and _distance(truth) > _distance(truth, alert.observed)
        )
        fields: dict[str, object] = {"last_at": max(alert.last_at, truth.end), "since": min(alert.since, truth.start)}
        fields |= _and_on(alert, truth.platforms)
        if worse:
            fields |= _numbers(truth)
        if alert.state == State.PENDING and truth.end - alert.since >= _persistence(truth.rule):
            return [self._save(alert.change(now, **fields, state=State.FIRING, raised_at=now), now)]
        self._go_on(place, alert, fields, now)
        return []

    def _begin(self, truth: Condition, now: datetime) -> list[Alert]:
        rule = truth.rule
        key = alert_key(rule.name, truth.scope, int(truth.start.timestamp()))
        for known in self._over[rule.name, truth.scope]:
            # Who falls silent once more, soon after it talked, is missed again: nothing else would say so.
            again = isinstance(rule, NoDataRule) and known.key != key
            if not again and known.since - rule.resolve <= truth.start <= known.last_at + rule.resolve:
                return []
        fires = not _persistence(rule)
        alert = Alert(
            key=key,
            version=1,
            rule=rule.name,
            type=rule.type,
            scope=truth.scope,
            state=State.FIRING if fires else State.PENDING,
            since=truth.start,
            last_at=truth.end,
            changed_at=now,
            raised_at=now if fires else None,
            platforms=truth.platforms,
            query=explain.query(rule, truth.scope, truth.start),
            **_numbers(truth),  # type: ignore[arg-type]
        )
        return [self._save(alert, now)]

    def untrue(self, rule: str, scope: Scope, now: datetime) -> list[Alert]:
        """It is not true any more: what was pending never was, a source that was silent talks; the rest ends with `sweep`."""
        alert = self._open.get((rule, scope))
        if alert is None or not (alert.state == State.PENDING or alert.is_no_data):
            return []
        return [self._resolve(alert, now)]

    # --- single events ------------------------------------------------------------------------------------------------
    def single(self, candidates: Sequence[Candidate], now: datetime) -> tuple[list[Alert], list[Member]]:
        """Takes over events that no alert holds yet (table alert_events). Old ones: `recall` their alerts before."""
        changes, members = [], []
        for candidate in sorted(candidates, key=lambda candidate: candidate.created_at):
            rule = self.config.rule(candidate.rule)
            if not isinstance(rule, (KeywordRule, ReachRule)):
                continue  # a rule that has been taken out since
            if now - candidate.created_at > OLD:
                alert = self._record(rule, candidate, now)
            else:
                found, alert = self._hear(rule, candidate, now)
                changes += found
            members.append(Member(rule.name, candidate.brand, candidate.event_key, alert.key, candidate.created_at))
        keys = {member.alert_key for member in members}
        changes += [alert for key, alert in self._historical.items() if key in keys]
        return changes, members

    def _hear(self, rule: KeywordRule | ReachRule, candidate: Candidate, now: datetime) -> tuple[list[Alert], Alert]:
        scope, at = Scope(candidate.brand), candidate.created_at
        place = rule.name, scope
        key = alert_key(rule.name, scope, candidate.event_key)
        alert = self._open.get(place)
        for known in (alert, *self._over.get(place, ())):
            if known is not None and known.key == key:
                return [], known  # its event was not on record yet when a process was killed
        if alert is not None:
            fields = {"last_at": max(alert.last_at, at), "since": min(alert.since, at), **_more(alert, rule, candidate)}
            return [], self._go_on(place, alert, fields, now)
        alert = _of_event(rule, candidate, key, State.FIRING, now)
        return [self._save(replace(alert, raised_at=now), now)], alert

    def _record(self, rule: KeywordRule | ReachRule, candidate: Candidate, now: datetime) -> Alert:
        key = historical_key(candidate)
        alert = self._historical.get(key)
        if alert is None:
            alert = replace(
                _of_event(rule, candidate, key, State.RESOLVED, now), historical=True, ended_at=candidate.created_at
            )
        else:
            last = max(alert.last_at, candidate.created_at)
            since = min(alert.since, candidate.created_at)
            alert = alert.change(now, since=since, last_at=last, ended_at=last, **_more(alert, rule, candidate))
        self._historical[key] = alert
        return alert

    def recall(self, alerts: Iterable[Alert]) -> None:
        """These are on record as historical, under the keys that `historical_key` gives; all others are forgotten."""
        self._historical = {alert.key: alert for alert in alerts}

    # --- time, people -------------------------------------------------------------------------------------------------
    def sweep(self, watermark: datetime, now: datetime) -> list[Alert]:
        """What time does: alerts are over, silences begin and end, and what has gone on is saved."""
        changes = []
        for place, alert in list(self._open.items()):
            rule = self.config.rule(alert.rule)
            if rule is None and not alert.test:
                changes.append(self._resolve(alert, now, comment="the rule was taken out"))
            elif (alert.test or not alert.is_no_data) and self._is_over(alert, rule, watermark, now):
                changes.append(self._resolve(alert, now))
            elif (muted := self._muted(alert, now)) != alert.muted:
                changes.append(self._save(alert.change(now, muted=muted), now))
            elif place in self._unsaved and now - self._unsaved[place] >= SAVE_EVERY:
                changes.append(self._save(alert.change(now), now))
        for place, over in list(self._over.items()):
            over[:] = [alert for alert in over if watermark - alert.last_at < REMEMBERED]
            if not over:
                del self._over[place]
        return changes

    def _is_over(self, alert: Alert, rule: AnyRule | None, watermark: datetime, now: datetime) -> bool:
        lasts = rule.resolve if rule and not alert.test else MINUTE
        # A window's last minute is named by its start.
        quiet = watermark - alert.last_at - (MINUTE if rule and not isinstance(rule, (KeywordRule, ReachRule)) else timedelta())
        # What came late is shown for a while all the same.
        return quiet >= lasts and (alert.raised_at is None or now - alert.raised_at >= min(lasts, timedelta(minutes=1)))

    def acknowledge(self, alert: Alert, actor: str, comment: str, now: datetime) -> Alert:
        return self._save(alert.change(now, state=State.ACKNOWLEDGED, actor=actor, comment=comment), now)

    def explained(self, alert: Alert, now: datetime, terms: tuple[str, ...], samples: tuple[int, ...]) -> Alert:
        """The alert with its explanation."""
        return self._save(alert.change(now, terms=terms, samples=alert.samples or samples), now)

    def test(self, rule: AnyRule, brand: str, actor: str, now: datetime) -> Alert:
        """An alert that is none, told to the rule's receivers and resolved a minute later."""
        scope = Scope(brand)
        key = alert_key(rule.name, scope, -int(now.timestamp() * 1000))
        alert = Alert(
            key=key, version=1, rule=rule.name, type=rule.type, scope=scope,
            state=State.FIRING, severity=rule.severity, since=now, last_at=now, changed_at=now, raised_at=now, test=True,
            summary=f"test of rule {rule.name} by {actor}", actor=actor,
        )  # fmt: skip
        self._open[_place(alert)] = alert
        return alert

    # --- within -------------------------------------------------------------------------------------------------------
    def _save(self, alert: Alert, now: datetime) -> Alert:
        if alert.state == State.FIRING and not alert.test:
            muted = self._muted(alert, now)
            alert = replace(alert, muted=muted)
        place = _place(alert)
        self._open[place] = alert
        self._unsaved.pop(place, None)
        return alert

    def _go_on(self, place: tuple[str, Scope], alert: Alert, fields: dict[str, object], now: datetime) -> Alert:
        gone_on = replace(alert, **fields)  # type: ignore[arg-type]
        if gone_on != alert:
            self._open[place] = gone_on
            self._unsaved.setdefault(place, now)
        return gone_on

    def _resolve(self, alert: Alert, now: datetime, comment: str = "") -> Alert:
        place = _place(alert)
        del self._open[place]
        self._unsaved.pop(place, None)
        over = alert.change(now, state=State.RESOLVED, ended_at=alert.last_at, muted="", comment=comment or alert.comment)
        if not alert.test:
            self._over[place].append(over)
        return over

    def _muted(self, alert: Alert, now: datetime) -> str:
        if alert.test:
            return ""
        if silence := covering(self.silences.values(), alert, now):
            return f"silence {silence.silence_id:016x}"
        whole = Scope(alert.scope.brand)
        if alert.type == "spike" and alert.scope != whole:
            for other in self._open.values():
                same = (other.type, other.scope, other.measure) == ("spike", whole, alert.measure)
                if same and other.state in (State.FIRING, State.ACKNOWLEDGED) and _direction(other) == _direction(alert):
                    return f"inhibited by {other.hex}"
        return ""


def _place(alert: Alert) -> tuple[str, Scope]:
    """A test is in nobody's way: no rule has a name like it."""
    return (f"test {alert.hex}" if alert.test else alert.rule), alert.scope


def historical_key(candidate: Candidate) -> int:
    """Old events of a rule and brand are one alert an hour."""
    hour = int(candidate.created_at.timestamp()) // 3600 * 3600
    return alert_key(candidate.rule, Scope(candidate.brand), hour)


def _truth(verdicts: Verdicts, row: int, place: int) -> Condition:
    rule = verdicts.rules[place]
    start = datetime.fromtimestamp(verdicts.minute * MINUTE_S, UTC)
    window = verdicts.windows[place][row]
    split = (int(window[PLACE["negative"]]), int(window[PLACE["neutral"]]), int(window[PLACE["positive"]]))
    expected, lower, upper = (
        None if np.isnan(array[row, place]) else float(array[row, place])
        for array in (verdicts.expected, verdicts.lower, verdicts.upper)
    )
    return Condition(
        rule, verdicts.scopes[row], start, start, int(verdicts.severity[row, place]), float(verdicts.observed[row, place]),
        rule.measure, expected, lower, upper, split=split, platforms=_where(rule, verdicts.scopes[row]),
    )  # fmt: skip


def _where(rule: AnyRule, scope: Scope) -> tuple[str, ...]:
    return (scope.platform,) if scope.platform else platforms_of(rule)


def _and_on(alert: Alert, platforms: Iterable[str]) -> dict[str, object]:
    """An alert that is not about anywhere spreads."""
    return {"platforms": tuple(sorted({*alert.platforms, *platforms}))} if alert.platforms else {}


def _numbers(truth: Condition) -> dict[str, object]:
    negative, neutral, positive = truth.split
    fields = {name: getattr(truth, name) for name in ("severity", "observed", "expected", "lower", "upper", "measure")}
    told = {"negative": negative, "neutral": neutral, "positive": positive, "summary": explain.summary(truth)}
    return {**fields, **told, **({"samples": truth.samples} if truth.samples else {})}


def _distance(truth: Condition, observed: float | None = None) -> float:
    """How far it is from what is expected, or from the limit."""
    limit = next((value for value in (truth.expected, truth.upper, truth.lower) if value is not None), 0.0)
    return abs((truth.observed if observed is None else observed) - limit)


def _persistence(rule: AnyRule) -> timedelta:
    return timedelta(0) if isinstance(rule, (KeywordRule, ReachRule, CampaignRule, NoDataRule)) else rule.persistence


def _direction(alert: Alert) -> bool:
    return alert.expected is None or alert.observed >= alert.expected


def _of_event(rule: KeywordRule | ReachRule, candidate: Candidate, key: int, state: State, now: datetime) -> Alert:
    label = candidate.sentiment
    return Alert(
        key=key, version=1, rule=rule.name, type=rule.type, scope=Scope(candidate.brand), state=state, severity=rule.severity,
        since=candidate.created_at, last_at=candidate.created_at, changed_at=now, observed=candidate.observed,
        measure="events" if isinstance(rule, KeywordRule) else "reach", summary=explain.event_summary(rule, candidate),
        terms=tuple(candidate.words), samples=(candidate.event_key,) if candidate.public else (),
        negative=int(label == "negative"), neutral=int(label == "neutral"), positive=int(label == "positive"),
        platforms=(candidate.platform,), query=explain.event_query(rule, candidate),
    )  # fmt: skip


def _more(alert: Alert, rule: KeywordRule | ReachRule, candidate: Candidate) -> dict[str, object]:
    """What one more event makes of an alert: a keyword's events are counted, of reach the largest is kept."""
    fields: dict[str, object] = {
        "observed": alert.observed + 1 if isinstance(rule, KeywordRule) else max(alert.observed, candidate.observed),
        "terms": tuple(dict.fromkeys((*alert.terms, *candidate.words))),
        **_and_on(alert, [candidate.platform]),
    }
    if candidate.public and len(alert.samples) < SAMPLES and candidate.event_key not in alert.samples:
        fields["samples"] = (*alert.samples, candidate.event_key)
    if candidate.sentiment:
        fields[candidate.sentiment] = getattr(alert, candidate.sentiment) + 1
    return fields
