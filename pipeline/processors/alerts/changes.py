"""How conditions and events change an alert. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from pipeline.processors.alerts import explain
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.counts import INDEX
from pipeline.processors.alerts.minutes import time_of
from pipeline.processors.alerts.rule_types import (
    AnyRule,
    CampaignRule,
    EventRule,
    KeywordRule,
    NoDataRule,
    Rule,
    Windowed,
    platforms_of,
)
from pipeline.processors.alerts.verdicts import Verdicts
from schemas.alerts import Alert, Change, Scope, State, alert_key
from schemas.signals import Candidate

SAMPLES = 3
MINUTE = timedelta(minutes=1)
CLOSED_AFTER = timedelta(seconds=10)
"""A minute is judged as ended so long after its end: its events have landed by then."""
HELD = timedelta(hours=1)
"""An alert stays open for so long after its condition was last true, while that is undecided: later labels are not judged."""
Subject = tuple[str, Scope]
"""A rule, by its name, and a scope: one alert of them is open at a time."""


def subject_of(alert: Alert) -> Subject:
    """A test shares its subject with no other alert: no rule has a name like it."""
    return (f"test {alert.hex}" if alert.test else alert.rule), alert.scope


def persistence_of(rule: Rule) -> timedelta:
    """How long the condition must be true before the alert fires."""
    return rule.persistence if isinstance(rule, Windowed) else timedelta(0)


def taken_out(alert: Alert, rule: AnyRule | None) -> str:
    """Why the rules, as they are now, would not raise the alert; blank: its rule may."""
    if alert.test:
        return ""
    if rule is None or alert.is_no_data != isinstance(rule, NoDataRule):
        return "the rule was taken out"
    # Others end by themselves, and a worker may know the new rules before control does.
    return "the rule is not about it any more" if isinstance(rule, Windowed) and not rule.is_about(alert.scope) else ""


def is_over(alert: Alert, rule: AnyRule | None, undecided: datetime, at: datetime) -> bool:
    """Whether the condition, by the events' time `at`, has been false for as long as the rule asks, or for HELD if it was
    `undecided` until then; a test lasts a minute. Never before `awaits_escalation` ends."""
    if awaits_escalation(alert, rule):
        return False
    lasts = rule.resolve if rule and not alert.test else MINUTE
    held = max(alert.last_at, min(undecided, alert.last_at + HELD))
    if alert.escalated_at is not None and isinstance(rule, EventRule | CampaignRule):
        held = max(held, alert.escalated_at)
    return at - held - _unjudged(rule) >= lasts


def has_ended(alert: Alert, rule: AnyRule | None, undecided: datetime, watermark: datetime, now: datetime) -> bool:
    """Whether its condition is over. An alert that comes late is shown for a while all the same."""
    shown = min(rule.resolve if rule and not alert.test else MINUTE, MINUTE)
    return is_over(alert, rule, undecided, watermark) and (alert.raised_at is None or now - alert.raised_at >= shown)


def _unjudged(rule: AnyRule | None) -> timedelta:
    """How long after the last minute of which a condition was true the rule may not have been judged again."""
    if rule is None or isinstance(rule, EventRule):
        return timedelta()
    # A window's last minute is named by its start; too little is known only once the next minute has ended.
    little = getattr(rule, "direction", "") == "below" or getattr(rule, "below", None) is not None
    return 2 * MINUTE + CLOSED_AFTER if little else MINUTE


def with_mute(alert: Alert, muted: str, now: datetime) -> Alert:
    """The alert, muted or not. It knows when its mute ended: from then on its receivers are notified."""
    ends = bool(alert.muted) and not muted
    return replace(alert, muted=muted, unmuted_at=now if ends else alert.unmuted_at)


def escalates(alert: Alert, rule: Rule | None, now: datetime) -> bool:
    """Whether nobody has acknowledged the alert for as long as its rule says, since it fired or its last mute ended. Once."""
    if rule is None or rule.escalate is None or alert.test or alert.muted or alert.state != State.FIRING:
        return False
    since = [at for at in (alert.raised_at, alert.unmuted_at) if at is not None]
    return alert.escalated_at is None and bool(since) and now - max(since) >= rule.escalate.after


def ahead(alert: Alert, now: datetime) -> Change:
    """The alert's times that are ahead of the clock, which was set back since, as of now: its escalation and its end count from
    then."""
    change: Change = {}
    if alert.raised_at is not None and alert.raised_at > now:
        change["raised_at"] = now
    if alert.unmuted_at is not None and alert.unmuted_at > now:
        change["unmuted_at"] = now
    return change


def awaits_escalation(alert: Alert, rule: AnyRule | None) -> bool:
    """Whether an alert about events, which nothing prolongs, stays open until somebody acknowledges it or it escalates."""
    fires = alert.state == State.FIRING and not alert.muted and not alert.test and alert.escalated_at is None
    return fires and isinstance(rule, EventRule | CampaignRule) and rule.escalate is not None


# --- windows ----------------------------------------------------------------------------------------------------------
def condition_of(verdicts: Verdicts, row: int, column: int) -> Condition:
    """The condition of a rule (by column) and a scope (by row) whose verdict is TRUE."""
    rule, scope = verdicts.rules[column], verdicts.scopes[row]
    start = time_of(verdicts.minute)
    window = verdicts.windows[column][row]
    expected, lower, upper = (
        None if np.isnan(array[row, column]) else float(array[row, column])
        for array in (verdicts.expected, verdicts.lower, verdicts.upper)
    )
    return Condition(
        rule, scope, start, start, int(verdicts.severity[row, column]), float(verdicts.observed[row, column]),
        rule.measure, expected, lower, upper,
        split=(int(window[INDEX["negative"]]), int(window[INDEX["neutral"]]), int(window[INDEX["positive"]])),
        platforms=(scope.platform,) if scope.platform else platforms_of(rule),
        span_s=0 if verdicts.span_s is None else int(verdicts.span_s[row, column]),
    )  # fmt: skip


def first_alert(condition: Condition, now: datetime) -> Alert:
    """The alert that a condition begins: pending if the rule asks for persistence."""
    rule, scope = condition.rule, condition.scope
    fires = not persistence_of(rule)
    alert = Alert(
        key=condition.key, version=1, rule=rule.name, type=rule.type, scope=scope,
        state=State.FIRING if fires else State.PENDING, severity=condition.severity, since=condition.start,
        last_at=condition.end, changed_at=now, raised_at=now if fires else None, platforms=condition.platforms,
        query=explain.query(rule, scope, condition.start, condition.span_s),
    )  # fmt: skip
    return replace(alert, **numbers(condition))


def condition_change(alert: Alert, condition: Condition) -> Change:
    """The alert while its condition stays true: the numbers are those of its worst window."""
    change: Change = {
        "last_at": max(alert.last_at, condition.end),
        "since": min(alert.since, condition.start),
        "platforms": spread(alert, condition.platforms),
    }
    severer = condition.severity - alert.severity
    if severer > 0 or (severer == 0 and distance(condition) > distance(condition, alert.observed)):
        change |= numbers(condition)
    return change


def numbers(condition: Condition) -> Change:
    """The fields of an alert that say how far its condition goes."""
    negative, neutral, positive = condition.split
    change: Change = {
        "severity": condition.severity, "observed": condition.observed, "expected": condition.expected,
        "lower": condition.lower, "upper": condition.upper, "measure": condition.measure,
        "negative": negative, "neutral": neutral, "positive": positive, "summary": explain.summary(condition),
    }  # fmt: skip
    if condition.samples:
        change["samples"] = condition.samples
    return change


def distance(condition: Condition, observed: float | None = None) -> float:
    """From the expected number, or from the limit."""
    limit = next((value for value in (condition.expected, condition.upper, condition.lower) if value is not None), 0.0)
    return abs((condition.observed if observed is None else observed) - limit)


def spread(alert: Alert, platforms: Iterable[str]) -> tuple[str, ...]:
    """The alert's platforms and these; an alert about any platform stays one."""
    return tuple(sorted({*alert.platforms, *platforms})) if alert.platforms else ()


# --- single events ----------------------------------------------------------------------------------------------------
def historical_key(candidate: Candidate) -> int:
    """Old events of a rule and brand are one alert an hour, by when they came to match."""
    hour = int(candidate.at.timestamp()) // 3600 * 3600
    return alert_key(candidate.rule, Scope(candidate.brand), hour)


def event_alert(rule: EventRule, candidate: Candidate, key: int, state: State, now: datetime) -> Alert:
    """The alert that an event begins."""
    label = candidate.sentiment
    return Alert(
        key=key, version=1, rule=rule.name, type=rule.type, scope=Scope(candidate.brand), state=state, severity=rule.severity,
        since=candidate.at, last_at=candidate.at, changed_at=now, observed=candidate.observed,
        measure="events" if isinstance(rule, KeywordRule) else "reach", summary=explain.event_summary(rule, candidate),
        terms=tuple(candidate.words), samples=(candidate.event_key,) if candidate.public else (),
        negative=int(label == "negative"), neutral=int(label == "neutral"), positive=int(label == "positive"),
        platforms=(candidate.platform,), query=explain.event_query(candidate),
    )  # fmt: skip


def event_change(alert: Alert, rule: EventRule, candidate: Candidate) -> Change:
    """The alert with one more event: a keyword's events are counted, of reach the largest is kept."""
    at, label = candidate.at, candidate.sentiment
    return {
        "last_at": max(alert.last_at, at),
        "since": min(alert.since, at),
        "observed": alert.observed + 1 if isinstance(rule, KeywordRule) else max(alert.observed, candidate.observed),
        "terms": tuple(dict.fromkeys((*alert.terms, *candidate.words))),
        "samples": next_samples(alert, candidate),
        "negative": alert.negative + (label == "negative"),
        "neutral": alert.neutral + (label == "neutral"),
        "positive": alert.positive + (label == "positive"),
        "platforms": spread(alert, [candidate.platform]),
    }


def next_samples(alert: Alert, candidate: Candidate) -> tuple[int, ...]:
    """The alert's samples and the event, if it is public and they are fewer than SAMPLES."""
    if candidate.public and len(alert.samples) < SAMPLES and candidate.event_key not in alert.samples:
        return (*alert.samples, candidate.event_key)
    return alert.samples


# --- tests ------------------------------------------------------------------------------------------------------------
def trial(rule: AnyRule, brand: str, actor: str, now: datetime) -> Alert:
    """A test of the rule's receivers: an alert without a condition."""
    scope = Scope(brand)
    return Alert(
        key=alert_key(rule.name, scope, -int(now.timestamp() * 1000)), version=1, rule=rule.name, type=rule.type, scope=scope,
        state=State.FIRING, severity=rule.severity, since=now, last_at=now, changed_at=now, raised_at=now, test=True,
        summary=f"test of rule {rule.name} by {actor}", actor=actor,
    )  # fmt: skip
