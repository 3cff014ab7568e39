"""Local time: against a clock that is asked about each step, over changes of the clock of any size."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipeline.processors.alerts.local_time import by_local_time, offsets

pytestmark = pytest.mark.slow

STEP_S = 300


def step_of(moment: datetime) -> int:
    return int(moment.timestamp()) // STEP_S


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),  # by half an hour
        ("America/St_Johns", datetime(2026, 11, 1, tzinfo=UTC)),  # half past the hour
        ("Africa/Casablanca", datetime(2026, 2, 15, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 6, 1, tzinfo=UTC)),
        ("UTC", datetime(2026, 3, 29, tzinfo=UTC)),
    ],
)
def test_a_step_is_where_the_clock_of_the_zone_puts_it(zone: str, around: datetime) -> None:
    first, size = step_of(around) - 5 * 288, 12 * 288
    counts = np.random.default_rng(1).poisson(20, (3, size)).astype(np.float32)
    counts[1, 1000:2000] = np.nan
    by_clock: dict[datetime, list[int]] = {}
    for place in range(size):
        clock = datetime.fromtimestamp((first + place) * STEP_S, ZoneInfo(zone)).replace(tzinfo=UTC)
        by_clock.setdefault(clock, []).append(place)
    local, begin = by_local_time(counts, first, zone)
    assert begin == step_of(min(by_clock)) and begin + local.shape[1] - 1 == step_of(max(by_clock))
    for place in range(local.shape[1]):
        passes = by_clock.get(datetime.fromtimestamp((begin + place) * STEP_S, UTC), [])
        for row in range(3):
            known = [counts[row, each] for each in passes if not np.isnan(counts[row, each])]
            expected = np.mean(known) if known else np.nan
            np.testing.assert_allclose(local[row, place], expected)


def test_an_hour_is_skipped_in_spring_and_comes_twice_in_autumn() -> None:
    hours = np.arange(72 * 12)[None] // 12
    spring, begin = by_local_time(hours.astype(np.float32), step_of(datetime(2026, 3, 28, tzinfo=UTC)), "Europe/Berlin")
    at = step_of(datetime(2026, 3, 29, 2, tzinfo=UTC)) - begin  # by the clock
    assert spring[0, at - 1] == 24 and np.isnan(spring[0, at : at + 12]).all() and spring[0, at + 12] == 25
    autumn, begin = by_local_time(hours.astype(np.float32), step_of(datetime(2026, 10, 24, tzinfo=UTC)), "Europe/Berlin")
    at = step_of(datetime(2026, 10, 25, 2, tzinfo=UTC)) - begin
    assert autumn[0, [at - 1, at, at + 11, at + 12]].tolist() == [23, 24.5, 24.5, 26]


def test_a_zone_without_a_change_costs_no_copy() -> None:
    counts = np.ones((2, 288), np.float32)
    first = step_of(datetime(2026, 7, 1, tzinfo=UTC))
    local, begin = by_local_time(counts, first, "Europe/Berlin")
    assert local is counts and begin == first + 24
    assert offsets("Asia/Kolkata", first, first + 3).tolist() == [66] * 3
