"""When an hour begins, a judgement prepares so many baselines and no more; once the minute has ended, all are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts import expected, spike_column
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.spike_parameters import Floats, Spike
from pipeline.processors.alerts.study import Study, study
from pipeline.processors.alerts.verdicts import TRUE, UNKNOWN, Verdicts
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Scope
from tests.support.minutes import MINUTE, frame, load, said

MOST, BRANDS = 10, [f"brand-{n:02}" for n in range(35)]
HOUR = MINUTE - MINUTE % 60 + 61
"""The first minute that is judged by the baselines of its hour."""


def authors(slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> pl.DataFrame:
    raise AssertionError("no rule asks for authors")


@pytest.fixture
def studied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of scopes whose four weeks were looked at."""
    numbers = list[int]()

    def counted(counts: Floats, spike: Spike) -> Study:
        numbers.append(len(counts))
        return study(counts, spike)

    monkeypatch.setattr(expected, "study", counted)
    monkeypatch.setattr(spike_column, "MOST_NEW", MOST)
    return numbers


def windows_of(*rules: dict[str, Any]) -> Windows:
    """Brands with 20 mentions each five minutes of four days. In minute HOUR each has more than the one before."""
    named = Alerts.model_validate({"rules": [{"name": f"rule-{n}", **rule} for n, rule in enumerate(rules)]}).rules
    windows, step = Windows(list(named), authors), (HOUR - 1) // STEP_MINUTES  # type: ignore[arg-type]
    steps = np.arange(step - 4 * 288, step)
    past = pl.concat(
        frame(said(0, 20, brand, labelled=20.0)).drop("minute").join(pl.DataFrame({"minute": steps}), how="cross")
        for brand in BRANDS
    )
    past = past.with_columns(pl.col("count", "negative", "labelled").cast(pl.Int64), live=pl.col("count").cast(pl.Int64))
    for history in windows.histories.values():
        load(history, past, step)
    windows.move(HOUR)
    rows = (said(HOUR, 15 + n, brand, labelled=15.0 + n) for n, brand in enumerate(BRANDS))
    windows.put(frame(*rows), [HOUR], None)
    return windows


def codes(judged: list[Verdicts], rule: int = 0) -> dict[str, int]:
    (verdicts,) = judged
    return {scope.brand: int(code) for scope, code in zip(verdicts.scopes, verdicts.codes[:, rule], strict=True)}


def test_each_second_prepares_so_many_and_the_most_mentioned_come_first(studied: list[int]) -> None:
    windows = windows_of({"type": "spike"})
    known = []
    for _ in range(5):
        judged = codes(windows.judge(HOUR, over=False))
        known.append(sorted(brand for brand, code in judged.items() if code != UNKNOWN))
        assert judged.keys() == set(BRANDS)
    assert studied == [10, 10, 10, 5]
    assert known == [BRANDS[-10:], BRANDS[-20:], BRANDS[-30:], BRANDS, BRANDS]
    assert codes(windows.judge(HOUR, over=True)) == judged
    assert UNKNOWN not in judged.values()


def test_when_the_minute_has_ended_all_are_judged(studied: list[int]) -> None:
    windows = windows_of({"type": "spike"})
    windows.judge(HOUR, over=False)
    assert UNKNOWN not in codes(windows.judge(HOUR, over=True)).values()
    assert studied == [10, 25]


def test_a_drop_is_prepared_before_its_minute_has_ended(studied: list[int]) -> None:
    windows = windows_of({"type": "spike", "direction": "below"})
    for _ in range(4):
        windows.judge(HOUR, over=False)
    assert studied == [10, 10, 10, 5]
    assert UNKNOWN not in codes(windows.judge(HOUR, over=True)).values()
    assert len(studied) == 4


def test_other_rules_judge_all_from_the_first_second_on(studied: list[int]) -> None:
    windows = windows_of({"type": "spike"}, {"type": "threshold", "measure": "count", "above": 14})
    judged = codes(windows.judge(HOUR, over=False), rule=1)
    assert judged == dict.fromkeys(BRANDS, TRUE)
    assert studied == [10]
