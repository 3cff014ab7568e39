"""Each minute is judged by the counts right before it and by the hour that it was in, whoever judges it and however late."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.verdicts import FALSE, TRUE
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Scope
from tests.support.minutes import frame, load, said

pytestmark = pytest.mark.slow

ACME = Scope("Acme")
START = 29_500_040
"""Begins a step, 40 minutes before an hour ends."""
STEP = START // STEP_MINUTES
RULES: list[dict[str, Any]] = [
    {"type": "spike"},
    {"type": "spike", "direction": "below"},
    {"type": "spike", "measure": "negative_share"},
]
Minutes = dict[int, dict[str, Any]]


def windows_of(*rules: dict[str, Any]) -> Windows:
    config = Alerts.model_validate({"rules": [{"name": f"rule-{n}", **rule} for n, rule in enumerate(rules)]})
    return Windows(config.rules, lambda *which: pl.DataFrame())  # type: ignore[arg-type]  # windowed ones only


def past(per_minute: Callable[[int], float], days: int = 23) -> pl.DataFrame:
    """The counts before START; `per_minute` of the step's number."""
    rng = np.random.default_rng(5)
    rows = []
    for step in range(STEP - days * 288, STEP):
        count = int(rng.poisson(per_minute(step) * STEP_MINUTES))
        rows += [said(step, count, labelled=count, negative=count // 5, live=count), said(step, 100, "Steady", live=100)]
    return pl.DataFrame(rows)


def stream(per_minute: Callable[[int], int], first: int, end: int, negative: Callable[[int], float] = lambda n: 0.2) -> Minutes:
    """By minute since START."""
    counts = {n: per_minute(n) for n in range(first, end)}
    return {
        n: said(START + n, count, labelled=count, negative=int(count * negative(n)), positive=count - int(count * negative(n)))
        for n, count in counts.items()
    }


def begun(learned: pl.DataFrame, before: Minutes) -> Windows:
    """As control begins at START: the past, and the minutes of the last hour."""
    windows = windows_of(*RULES)
    windows.move(START - 1)
    for history in windows.histories.values():
        load(history, learned, (START - 1) // STEP_MINUTES)
    put(windows, before)
    return windows


def put(windows: Windows, minutes: Minutes) -> None:
    steady = [said(START + n, 20, "Steady") for n in minutes]
    windows.put(frame(*minutes.values(), *steady), [START + n for n in minutes], None)


def said_of(windows: Windows, minute: int) -> dict[str, tuple[float, ...]]:
    """Each rule's verdict on Acme at this minute since START."""
    found = {}
    for verdicts in windows.judge(START + minute, over=True, watched=[ACME]):
        row = list(verdicts.scopes).index(ACME)
        arrays = (verdicts.codes, verdicts.observed, verdicts.expected, verdicts.lower, verdicts.upper, verdicts.severity)
        for place, rule in enumerate(verdicts.rules):
            found[rule.name] = tuple(round(float(np.nan_to_num(array[row, place], nan=-1)), 6) for array in arrays)
    return found


def live(learned: pl.DataFrame, before: Minutes, minutes: Minutes) -> list[dict[str, tuple[float, ...]]]:
    """The verdicts on each minute a minute after it."""
    windows, verdicts = begun(learned, before), []
    for n, counts in minutes.items():
        windows.move(START + n)
        put(windows, {n: counts})
        windows.move(START + n + 1)
        verdicts.append(said_of(windows, n))
    return verdicts


def away(learned: pl.DataFrame, before: Minutes, minutes: Minutes) -> list[dict[str, tuple[float, ...]]]:
    """The verdicts of a process that takes over after all of the minutes."""
    windows = begun(learned, before)
    for ring in windows.rings.values():
        ring.move(START + len(minutes))
    put(windows, minutes)
    windows.move(START + len(minutes))
    return [said_of(windows, n) for n in minutes]


def late(learned: pl.DataFrame, before: Minutes, minutes: Minutes) -> list[dict[str, tuple[float, ...]]]:
    """The verdicts of a process that went on all the time, and to which the events came after all of the minutes."""
    windows = begun(learned, before)
    for n in range(len(minutes) + 1):
        windows.move(START + n)
    for n, counts in minutes.items():
        put(windows, {n: counts})
    return [said_of(windows, n) for n in minutes]


def codes(verdicts: Iterable[dict[str, tuple[float, ...]]], rule: str) -> list[int]:
    return [int(each[rule][0]) for each in verdicts]


@pytest.mark.parametrize("other", [away, late])
def test_a_spike_that_came_and_went_unseen_is_found_as_if_it_was_seen(other: Callable[..., Any]) -> None:
    learned, before = past(lambda step: 10), stream(lambda n: 10, -60, 0)
    minutes = stream(lambda n: 60 if 10 <= n < 20 else 10, 0, 55, lambda n: 0.8 if 30 <= n < 40 else 0.2)
    seen, found = live(learned, before, minutes), other(learned, before, minutes)
    assert codes(seen, "rule-0").count(TRUE) > 8 and codes(seen, "rule-2").count(TRUE) > 5
    assert found == seen


@pytest.mark.parametrize("other", [away, late])
def test_a_drop_that_came_and_went_unseen_is_found(other: Callable[..., Any]) -> None:
    learned, before = past(lambda step: 60), stream(lambda n: 60, -60, 0)
    minutes = stream(lambda n: 60 if n >= 52 else 0, 0, 58)
    seen, found = live(learned, before, minutes), other(learned, before, minutes)
    assert codes(seen, "rule-1").count(TRUE) > 3
    assert found == seen


def test_calm_minutes_are_calm_whatever_came_after_them() -> None:
    learned, before = past(lambda step: 10), stream(lambda n: 10, -60, 0)
    minutes = stream(lambda n: 60 if n >= 35 else 10 + n % 3, 0, 50)
    assert codes(away(learned, before, minutes), "rule-0")[:35] == [FALSE] * 35
    assert TRUE in codes(away(learned, before, minutes), "rule-0")


def test_a_minute_of_the_hour_before_is_held_against_its_own_hour() -> None:
    """Nights of 2 a minute end on the hour, when 40 are usual: what is usual then is a spike before."""

    def rate(step: int) -> float:
        return 40.0 if step // 12 % 24 == (STEP // 12 + 1) % 24 else 2.0

    learned, before = past(rate), stream(lambda n: 2, -60, 0)
    minutes = stream(lambda n: 40 if n >= 15 else 2, 0, 60)
    seen, found = live(learned, before, minutes), away(learned, before, minutes)
    assert found == seen
    assert TRUE in codes(found, "rule-0")[15:30]
