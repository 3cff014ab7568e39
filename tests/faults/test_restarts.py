"""A control that is killed and started at random minutes raises the alerts of one that never stopped, for each type of rule.

A history is the day of one world under one sequence of stops: up to 20 minutes away, killed between turns, before its commit,
or between two writes. The same alerts: rule, scope and the minute of their start, and whether they are historical. The day says
which alerts it must raise, so the control that never stopped is tested as well.

Where it can't be the same (docs/ops.md, "Restarts"): a condition that came and was gone while control was away. What an edit or
a delete took back meanwhile never was, and a source that is back is not missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import NamedTuple

import pytest

from pipeline.config.settings import Settings
from pipeline.processors.alerts import late_days
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, Scope
from tests.support.day import BEGIN, NO_DATA_AFTER, WARM, Day, Incident, at, generate, rules
from tests.support.restarts import Control, Ground, Stop, stops


class Size(NamedTuple):
    """How much one test holds."""

    worlds: int
    stopped: int
    """Controls that are stopped."""
    step: int
    """Minutes between two turns: most of the time is theirs."""
    minutes: int
    """Of the day; 200 are the fewest in which each kind of incident has room."""


SHORT = pytest.param(0, Size(2, 1, 2, 200), id="2 histories")
LONG = [
    pytest.param(0, Size(10, 1, 2, 240), marks=pytest.mark.faults, id="10 histories"),
    *(
        pytest.param(seed, Size(20, 5, 1, 240), marks=pytest.mark.faults, id=f"100 histories, seed {seed}")
        for seed in range(1, 6)
    ),
]


class Raised(NamedTuple):
    rule: str
    scope: Scope
    minute: int
    historical: bool

    def __str__(self) -> str:
        return f"{self.rule} of {self.scope} in minute {self.minute}{' (historical)' if self.historical else ''}"


@dataclass
class Life:
    """One control's day."""

    control: Control
    stops: Sequence[Stop] = ()
    alerts: list[Alert] = field(default_factory=list)

    @property
    def away(self) -> set[int]:
        return {minute for stop in self.stops for minute in range(stop.at, stop.back)}

    @property
    def raised(self) -> set[Raised]:
        return {raised(alert) for alert in self.alerts}


def raised(alert: Alert) -> Raised:
    return Raised(alert.rule, alert.scope, (alert.since - BEGIN) // timedelta(minutes=1), alert.historical)


def live(settings: Settings, day: Day, worlds: int, stopped: Sequence[Sequence[Stop]], step: int) -> list[Life]:
    """The first one never stops. All take a turn each `step` minutes."""
    new = Alerts.model_validate({"rules": rules(worlds)})
    old = Alerts.model_validate({"rules": rules(worlds)[:-1]})
    ground = Ground(settings.clickhouse, old)
    ground.begin(worlds)
    with ExitStack() as databases:
        lives = [
            Life(Control(ground, databases.enter_context(ground.own_tables(f"control{number}"))), stops)
            for number, stops in enumerate([(), *stopped])
        ]
        for minute in range(0, day.minutes, step):
            since = range(max(0, minute - step + 1), minute + 1)
            ground.now = at(minute) + timedelta(seconds=day.seconds[minute])
            if day.reload[0] in since:
                ground.use(new)
            ground.land([event for each in since for event in day.batches[each]])
            if day.labels & {*since}:
                ground.label()
            for life in lives:
                turn(life, since, day.reload[1], old, new)
        for life in lives:
            life.alerts = life.control.alerts()
    return lives


def turn(life: Life, since: range, reload: int, old: Alerts, new: Alerts) -> None:
    """The turn of these minutes, the last of which is now."""
    now, control = since[-1], life.control
    if WARM in since:
        control.begin()
    if WARM in since or any(stop.back == now for stop in life.stops):
        control.start(new if now >= reload else old)
    elif reload in since:
        control.use(new)
    if control.up:
        control.turn(next((stop for stop in life.stops if stop.at == now), None))


# --- what is wrong ----------------------------------------------------------------------------------------------------
def not_as_planned(day: Day, alerts: Sequence[Alert]) -> Iterator[str]:
    """Of the control that never stopped."""
    planned = set[Raised]()
    for incident in day.incidents:
        found = [alert for alert in alerts if belongs(raised(alert), incident)]
        planned |= {raised(alert) for alert in found}
        if len(found) != 1:
            yield f"{incident} raised {len(found)} alerts"
        elif incident.lasts and found[0].last_at < at(incident.lasts):
            yield f"{incident} ended in minute {(found[0].last_at - BEGIN) // timedelta(minutes=1)}"
    for alert in sorted({raised(alert) for alert in alerts} - planned):
        yield f"no incident: {alert}"


def belongs(alert: Raised, incident: Incident) -> bool:
    same = (alert.rule, alert.scope, alert.historical) == (incident.rule, incident.scope, incident.historical)
    return same and incident.first <= alert.minute <= incident.last


def differences(day: Day, never: Life, life: Life) -> Iterator[str]:
    """What a control that was stopped raised and the other one did not, and the other way round."""
    for alert in sorted(never.raised - life.raised):
        if not gone(alert, day.incidents, life.away):
            yield f"lost: {alert}"
    for alert in sorted(life.raised - never.raised):
        yield f"not raised by the one that never stopped: {alert}"


def gone(alert: Raised, incidents: Iterable[Incident], away: set[int]) -> bool:
    """Whether its condition was not true any more when control was back."""
    for incident in incidents:
        if incident.gone and belongs(alert, incident):
            seen = incident.seen or (alert.minute + NO_DATA_AFTER + 1 if incident.rule == "quiet" else incident.first)
            return all(minute in away for minute in range(seen, incident.gone))
    return False


# --- the property -----------------------------------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def late_days_have_their_turn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control that stopped would else judge them an hour later: after the end of the day."""
    monkeypatch.setattr(late_days, "BACKOFF", (timedelta(),))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seed", "size"), [SHORT, *LONG])
def test_a_control_that_is_stopped_raises_the_same_alerts(settings: Settings, seed: int, size: Size) -> None:
    day = generate(seed, size.worlds, size.minutes)
    plans = [stops(Random(f"{seed} {number}"), WARM, size.minutes, size.step) for number in range(size.stopped)]
    never, *others = live(settings, day, size.worlds, plans, size.step)
    print(f"{len(never.raised)} alerts; stops: {[len(plan) for plan in plans]}")
    wrong = [*not_as_planned(day, never.alerts)]
    for life in others:
        wrong += [f"{each}; stops {life.stops}" for each in differences(day, never, life)]
    assert not wrong, f"seed {seed}: {len(wrong)} are wrong\n" + "\n".join(wrong)
    for rule in rules(size.worlds):
        of = {alert.scope for alert in never.alerts if alert.rule == rule["name"]}
        assert len(of) >= size.worlds, f"rule {rule['name']} raised alerts of {len(of)} scopes only"
