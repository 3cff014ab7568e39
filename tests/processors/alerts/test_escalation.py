"""Escalations by a clock: when they are due, and what ends them; and who would have been notified."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.processors.alerts.audience import Hearing
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.silences import Silence
from schemas.alerts import Alert, Scope, State, dump, parse_alert
from schemas.signals import Candidate

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
"""A Friday."""


def config(*receivers: dict[str, Any], **rule: Any) -> Alerts:
    given = [{"type": "webhook", "url": "https://ops.example/x", **receiver} for receiver in receivers]
    crisis = {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "3h", **rule}
    return Alerts.model_validate({"receivers": given, "rules": [crisis]})


CONFIG = config({"name": "chat"}, {"name": "pager"}, escalate={"after": "15m", "to": ["pager"]})


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def fire(life: Lifecycle, minutes: float = 0) -> Alert:
    now = at(minutes)
    changes, _ = life.single([Candidate("crisis", "Acme", "x", "en", 7, now, now, 1.0, ("recall",))], now)
    return changes[-1]


def escalations(life: Lifecycle, *minutes: float) -> list[float]:
    """The minutes at which a sweep escalates the alert."""
    return [each for each in minutes if any(a.escalated_at == at(each) for a in life.sweep(at(each), at(each)))]


def silence(begin: float, end: float) -> Silence:
    return Silence(7, 1, "", "Acme", "", at(begin), at(end), "ines", "", at(begin))


def test_an_alert_that_nobody_acknowledges_escalates_once() -> None:
    life = Lifecycle(CONFIG)
    first = fire(life)
    assert escalations(life, 1, 14.9, 15, 16, 40, 90) == [15]
    (alert,) = life.open
    assert (alert.key, alert.state, alert.escalated_at) == (first.key, State.FIRING, at(15))
    assert parse_alert(dump(alert)) == alert


def test_one_post_stays_open_until_it_escalates_or_somebody_has_it() -> None:
    """Nothing prolongs it: with the usual `resolve` it would end before anybody is called."""
    soon = config({"name": "chat"}, {"name": "pager"}, escalate={"after": "15m", "to": ["pager"]}, resolve="10m")
    life = Lifecycle(soon)
    fire(life)
    assert escalations(life, 5, 11, 14, 15) == [15]
    assert not [a for a in life.sweep(at(24), at(24)) if a.state == State.RESOLVED]
    assert [a.state for a in life.sweep(at(25), at(25))] == [State.RESOLVED]

    acknowledged = Lifecycle(soon)
    acknowledged.acknowledge(fire(acknowledged), "ines", "on it", at(2))
    assert [a.state for a in acknowledged.sweep(at(11), at(11))] == [State.RESOLVED]

    silenced = Lifecycle(soon, silences=[silence(-1, 60)])
    fire(silenced)
    assert [a.state for a in silenced.sweep(at(11), at(11))] == [State.RESOLVED]


def test_an_acknowledgement_comes_first() -> None:
    life = Lifecycle(CONFIG)
    life.acknowledge(fire(life), "ines", "on it", at(14))
    assert escalations(life, 15, 60) == []


def test_a_window_that_is_over_does_not_escalate() -> None:
    many = {"name": "crisis", "type": "threshold", "measure": "count", "above": 5, "words": None, "resolve": "5m"}
    rule = {key: value for key, value in many.items() if value is not None} | {"escalate": {"after": "15m", "to": ["pager"]}}
    receivers = [{"name": name, "type": "webhook", "url": "https://ops.example/x"} for name in ("chat", "pager")]
    life = Lifecycle(Alerts.model_validate({"receivers": receivers, "rules": [rule]}))
    condition = Condition(life.config.rules[0], Scope("Acme"), NOON, NOON, 5, 6.0, "count")  # type: ignore[arg-type]
    assert life.met(condition, NOON)
    assert escalations(life, 14, 15, 60) == [] and life.open == []


def test_a_rule_without_it_and_a_test_never_escalate() -> None:
    life = Lifecycle(config({"name": "chat"}, {"name": "pager"}))
    fire(life)
    assert escalations(life, 15, 60) == []
    life = Lifecycle(CONFIG)
    life.test(CONFIG.rules[0], "Acme", "ines", NOON)
    assert escalations(life, 0.5, 15, 60) == []


@pytest.mark.parametrize(
    ("begin", "end", "due"),
    [(-5, 60, 75), (10, 60, 75), (10, 12, 27), (20, 60, 15)],
    ids=["from the start", "before it is due", "for two minutes", "after it escalated"],
)
def test_a_muted_alert_does_not_escalate_and_the_time_begins_anew_when_the_mute_ends(
    begin: float, end: float, due: float
) -> None:
    life = Lifecycle(CONFIG, silences=[silence(begin, end)])
    fire(life)
    assert escalations(life, *range(1, 120)) == [due]


def test_a_restart_goes_on_with_the_time_and_does_not_escalate_again() -> None:
    life = Lifecycle(CONFIG, silences=[silence(0, 10)])
    fire(life)
    life.sweep(at(10), at(10))
    assert escalations(life := Lifecycle(CONFIG, life.open), 24, 25) == [25]
    assert escalations(Lifecycle(CONFIG, life.open), 26, 100) == []


def test_another_time_and_rules_without_it_count_at_once() -> None:
    life = Lifecycle(CONFIG)
    fire(life)
    life.config = config({"name": "chat"}, {"name": "pager"})
    assert escalations(life, 15) == []
    life.config = config({"name": "chat"}, {"name": "pager"}, escalate={"after": "30m", "to": ["pager"]})
    assert escalations(life, 29, 30) == [30]


def test_none_escalates_until_what_may_end_it_is_read() -> None:
    life = Lifecycle(CONFIG)
    fire(life)
    assert life.sweep(at(15), at(15), settled=False) == []
    assert escalations(life, 15.1) == [15.1]


def test_a_record_from_before_there_were_escalations_is_read() -> None:
    (alert,) = (fire(Lifecycle(CONFIG)),)
    old = dump(alert).replace(b',"unmuted_at":null,"escalated_at":null', b"")
    assert b"escalated_at" not in old and parse_alert(old) == alert


# --- who would have been notified -------------------------------------------------------------------------------------
OFFICE = {"when": {"days": ["mon-fri"], "hours": "08:00-18:00"}}


def notified(
    rules: Alerts, minutes: range, begin: float = 0, silences: tuple[Silence, ...] = ()
) -> list[tuple[str, float, bool]]:
    """(receiver, minutes after noon, escalated) of an alert that begins then."""
    life, hearing = Lifecycle(rules, silences=silences), Hearing(rules)
    first = fire(life, begin)
    hearing.note(first)
    for minute in minutes:
        for change in life.sweep(at(minute), at(minute)):
            hearing.note(change)
    hearing.finish(at(minutes[-1]))
    return [(name, (when - NOON) / timedelta(minutes=1), escalated) for name, when, escalated in hearing.of(first.key)]


def test_who_would_have_been_notified_and_when() -> None:
    assert notified(CONFIG, range(1, 60)) == [("chat", 0, False), ("pager", 15, True)]
    assert notified(CONFIG, range(1, 10)) == [("chat", 0, False)]
    assert notified(CONFIG, range(1, 60), silences=(silence(-1, 20),)) == [("chat", 20, False), ("pager", 35, True)]


def test_who_is_out_of_hours_would_have_been_notified_while_it_lasted() -> None:
    escalate = {"after": "15m", "to": ["pager"]}
    rules = config({"name": "chat", **OFFICE}, {"name": "pager"}, escalate=escalate, resolve="100h")
    evening, monday = 6 * 60, (2 * 24 + 20) * 60
    assert notified(rules, range(evening + 1, monday + 5), evening) == [("pager", evening + 15, True), ("chat", monday, False)]
    assert notified(rules, range(evening + 1, monday), evening) == [("pager", evening + 15, True)]
    named = config({"name": "chat", **OFFICE, "always": {"severity": 7}}, {"name": "pager", "min_severity": 8})
    assert notified(named, range(evening + 1, evening + 9), evening) == [("chat", evening, False)]
