"""Generated bursts: the same seed makes the same brands, and the benchmark finds what is plain to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.bursts import DAY, FIRST, LEAST, SHAPES, Direction, World, alerts, evaluate, make, one_window
from pipeline.processors.alerts.backtest.series import replay_series
from pipeline.processors.alerts.spike_parameters import DROP, Spike

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> World:
    return make(5, 12)


def test_the_same_seed_makes_the_same_brands(world: World) -> None:
    again = make(5, 12)
    np.testing.assert_array_equal(again.counts, world.counts)
    assert again.bursts == world.bursts
    assert not np.array_equal(make(6, 12).counts, world.counts)


@pytest.mark.parametrize("direction", ["above", "below"])
def test_each_shape_comes_and_each_burst_is_within_the_judged_days(direction: Direction) -> None:
    made = make(5, 12, direction)
    assert {burst.shape for burst in made.bursts} == set(SHAPES)
    for burst in made.bursts:
        assert FIRST <= burst.first < burst.end <= made.counts.shape[1]
    apart = [one.first - other.end for one, other in zip(made.bursts[1::2], made.bursts[::2], strict=True)]
    assert min(apart) > 36


def test_a_burst_adds_some_mentions(world: World) -> None:
    for burst in world.bursts:
        assert world.counts[burst.brand, burst.first : burst.end].sum() >= LEAST / 3


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "spike"), [("above", Spike()), ("below", DROP)])
def test_several_windows_find_more_than_one_and_sharp_bursts_as_soon(direction: Direction, spike: Spike) -> None:
    made = make(3, 48, direction)
    alone, several = evaluate(made, one_window(spike), direction), evaluate(made, spike, direction)
    assert several.recall > alone.recall
    assert several.false <= alone.false + 0.03
    assert several.sharp_s <= alone.sharp_s


def test_its_alerts_are_those_of_the_back_test_of_a_series(world: World) -> None:
    first, spike = datetime(2026, 1, 1, tzinfo=UTC), Spike()
    times = [first + timedelta(minutes=5 * step) for step in range(world.counts.shape[1])]
    ours = alerts(world, spike)
    assert sum(map(len, ours)) > 6
    for row, mine in zip(world.counts[:6], ours, strict=False):
        raised = replay_series(times, row.astype(np.float64), spike).raised
        theirs = [(alert.started - first) // timedelta(minutes=5) for alert in raised]
        settled = FIRST + DAY // 2  # an alert of the past may be open before
        assert [step for step in theirs if step > settled] == [step for step in mine if step > settled]
