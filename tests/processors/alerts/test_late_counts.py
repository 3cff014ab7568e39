"""Events that come late, hours late or after a pause: control that ran and control that starts afterwards say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts import touched
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.spike_parameters import Spike
from pipeline.processors.alerts.verdicts import Verdicts
from schemas.alerts import Alert, Scope
from schemas.signals import Signal
from tests.support.control_parts import MemoryStore
from tests.support.minutes import MINUTE, at, frame, said

pytestmark = pytest.mark.slow

ACME, STEADY = Scope("Acme"), Scope("Steady")
RULES = Alerts.model_validate(
    {"rules": [{"name": "rise", "type": "spike"}, {"name": "fall", "type": "spike", "direction": "below"}]}
)
FIRST = MINUTE - 23 * 1440


class Table(MemoryStore):
    """Answers as the table of these mentions would; those of Acme in the `hidden` minutes have not landed."""

    def __init__(self, hidden: Iterable[int] = (), burst: Iterable[int] = ()) -> None:
        super().__init__([])
        drawn = np.random.default_rng(7).poisson(10, MINUTE + 600 - FIRST)
        self.hidden, self.kept = set(hidden), at(MINUTE)
        self.mentions = {FIRST + n: int(count) for n, count in enumerate(drawn)}
        self.mentions |= {minute: self.mentions[minute] * 4 for minute in burst}

    def watermark(self) -> datetime:
        return self.kept

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        named = [int(each) // 60 for each in re.findall(r"toDateTime\((\d+), 'UTC'\)", sql)]
        minutes = named if " IN (toDateTime" in sql else range(*named)
        length = int(re.findall(r"intDiv\(toUnixTimestamp\(created_at\), (\d+)\)", sql)[0]) // 60
        sums: dict[int, list[int]] = {}
        for minute in (each for each in minutes if each in self.mentions):
            both = sums.setdefault(minute // length, [0, 0])
            both[0] += 0 if minute in self.hidden else self.mentions[minute]
            both[1] += 20
        rows = [
            said(each, n, name) for each, both in sums.items() for name, n in zip(("Acme", "Steady"), both, strict=True) if n
        ]
        return frame(*rows).with_columns(live=pl.col("count"))


def started(table: Table, minute: int) -> Evaluator:
    evaluator, table.kept = Evaluator(table, RULES), at(minute, 20)
    evaluator.start(at(minute, 20), 0)
    evaluator.tick(at(minute, 20))
    return evaluator


def go_on(evaluator: Evaluator, minutes: range) -> None:
    for minute in minutes:
        evaluator.tick(at(minute, 20))


def say(evaluator: Evaluator, minutes: Iterable[int], now: int) -> None:
    evaluator.ingest([Signal(touched={at(each): ("Acme",) for each in minutes})], at(now, 30))


def said_of(evaluator: Evaluator, minute: int) -> list[list[float]]:
    """What the rules say of Acme, and the sums of its windows."""
    (verdicts,) = evaluator.windows.judge(minute, over=True, watched=[ACME, STEADY])
    row = list(verdicts.scopes).index(ACME)
    arrays: list[Any] = [
        verdicts.codes,
        verdicts.observed,
        verdicts.expected,
        verdicts.lower,
        verdicts.upper,
        verdicts.severity,
    ]
    rows = evaluator.windows.rings[Slice()].table.find([ACME])
    baseline = evaluator.windows.histories[Slice()].baseline(Spike(), rows, (minute - 1) // STEP_MINUTES, None)
    arrays = [*(array[row] for array in arrays), baseline.begun[0], baseline.ended[0]]
    return [[round(float(np.nan_to_num(value, nan=-1)), 4) for value in array] for array in arrays]


@pytest.mark.parametrize(
    ("late", "after"),
    [(range(0, 100), 200), (range(120, 148), 200), (range(132, 138), 200)],
    ids=["hours", "on both sides of the last hour", "in a step that has half left the rings"],
)
def test_counts_that_came_hours_late_are_in_the_windows_of_hours(late: range, after: int) -> None:
    minutes = [MINUTE + each for each in late]
    table = Table(minutes, burst=minutes)
    ran = started(table, MINUTE)
    go_on(ran, range(MINUTE + 1, MINUTE + after))
    before = said_of(ran, MINUTE + after - 2)
    table.hidden.clear()
    say(ran, minutes, MINUTE + after - 1)
    go_on(ran, range(MINUTE + after, MINUTE + 265))  # another hour: what is expected is from all that is known when it begins
    found = said_of(ran, MINUTE + 263)
    assert found == said_of(started(table, MINUTE + 264), MINUTE + 263) != before


@pytest.mark.parametrize("pause", [61, 62, 66, 170])
def test_a_control_that_waited_knows_afterwards_all_that_came(pause: int) -> None:
    table, begin = Table(burst=range(MINUTE - 4, MINUTE + 30)), MINUTE + 1  # the second minute of a step
    waited, end = started(table, begin), begin + pause
    go_on(waited, range(end, end + 1))
    assert said_of(waited, end - 1) == said_of(started(table, end), end - 1)


def test_minutes_whose_windows_of_hours_hold_a_late_one_are_judged_again_once_a_minute() -> None:
    ran, judged = started(Table(), MINUTE), list[int]()
    take, late = ran.lifecycle.take_verdicts, MINUTE - 30

    def noted(verdicts: Iterable[Verdicts], now: datetime, late: bool = False) -> list[Alert]:
        listed = list(verdicts)
        judged.extend(each.minute for each in listed if late)
        return take(listed, now, late)

    ran.lifecycle.take_verdicts = noted  # type: ignore[method-assign]
    go_on(ran, range(MINUTE + 1, MINUTE + 3))
    ran.tick(at(MINUTE + 2, 30))
    judged.clear()
    say(ran, [late], MINUTE + 2)
    ran.tick(at(MINUTE + 2, 40))
    assert judged == list(range(late, late + 5))
    judged.clear()
    go_on(ran, range(MINUTE + 3, MINUTE + 5))
    assert judged == list(range(late, MINUTE + 3))


def test_a_source_that_touches_all_old_minutes_costs_an_hour_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    table, asked = Table(), list[str]()
    ran = started(table, MINUTE)
    ask = table.ask

    def noted(sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        asked.append(sql)
        return ask(sql, settings)

    monkeypatch.setattr(table, "ask", noted)
    say(ran, range(MINUTE - 3000, MINUTE), MINUTE)
    go_on(ran, range(MINUTE + 1, MINUTE + 2))
    asked.clear()
    go_on(ran, range(MINUTE + 2, MINUTE + 3))
    assert len([sql for sql in asked if ", 300))" in sql]) == touched.AGAIN_STEPS
    go_on(ran, range(MINUTE + 3, MINUTE + 8))
    asked.clear()
    go_on(ran, range(MINUTE + 8, MINUTE + 9))
    assert not [sql for sql in asked if ", 300))" in sql]
