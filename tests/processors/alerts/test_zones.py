"""Spikes by the clock of a time zone: no false ones after a change of summer time, live and in a back-test of a series."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts import expected as expected_module
from pipeline.processors.alerts.backtest import judge
from pipeline.processors.alerts.backtest.series import Raised, Series, replay_series
from pipeline.processors.alerts.counts import MEASURES
from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.spike_parameters import DROP, Spike
from pipeline.processors.alerts.study import Study, study
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Scope
from tests.support.minutes import frame, load, said

pytestmark = pytest.mark.slow

BERLIN = "Europe/Berlin"
SHARE = (*[0.01] * 7, 0.04, 0.2, 0.6, *[1.0] * 8, 0.5, 0.2, 0.1, *[0.02] * 3)
"""Of the busiest hour's mentions, by the hour of the clock: calls and orders have such a morning."""
CHANGES = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]


def opening_hours(change: datetime, seed: int, zone: str = BERLIN, busiest: float = 600) -> Series:
    """Four weeks before the change of summer time, and ten days after it."""
    start = change - timedelta(days=28)
    times = [start + timedelta(minutes=5 * n) for n in range(38 * 288)]
    hours = [time.astimezone(ZoneInfo(zone)).hour for time in times]
    return Series(times, np.random.default_rng(seed).poisson(busiest / 12 * np.array(SHARE)[hours]).astype(float))


def around(change: datetime, raised: list[Raised]) -> list[Raised]:
    """Those from a week before the change on, when the hours are known."""
    return [alert for alert in raised if alert.started > change - timedelta(days=7)]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_opening_hours_raise_nothing_after_a_change_of_summer_time_if_the_zone_is_known(change: datetime) -> None:
    without = 0
    for seed in range(3):
        series = opening_hours(change, seed)
        assert not around(change, replay_series(*series, Spike(), zone=BERLIN).raised)
        without += len(around(change, replay_series(*series, Spike()).raised))
    assert without >= 3


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe"])
def test_hours_that_begin_at_half_past_are_hours(zone: str) -> None:
    change = datetime(2026, 4, 4, 15, tzinfo=UTC)
    assert not around(change, replay_series(*opening_hours(change, 4, zone), Spike(), zone=zone).raised)


def test_a_burst_in_the_hour_that_comes_twice_is_a_spike_in_both_passes() -> None:
    for hour in (0, 1):
        series = opening_hours(CHANGES[1], 5)
        begin = datetime(2026, 10, 25, hour, 10, tzinfo=UTC)
        for place, time in enumerate(series.times):
            if begin <= time < begin + timedelta(minutes=20):
                series.values[place] += 60
        (alert,) = around(CHANGES[1], replay_series(*series, Spike(), zone=BERLIN).raised)
        assert begin <= alert.started < begin + timedelta(minutes=10)


class Stored:
    """ClickHouse with opening hours of brand Berlin in it, and another brand that is always there."""

    def __init__(self, change: datetime) -> None:
        series = opening_hours(change, 6)
        steps = [int(time.timestamp()) // STEP_S for time in series.times]
        counts = pl.DataFrame({"minute": steps, "Berlin": series.values, "Steady": 100.0})
        rows = counts.unpivot(index="minute", variable_name="brand", value_name="count").filter(pl.col("count") > 0)
        blank = [pl.lit("").alias(name) for name in ("platform", "language")]
        self._steps = rows.with_columns(
            *blank, *(pl.lit(0.0).alias(name) for name in MEASURES if name != "count"), live="count"
        )
        parts = [
            self._steps.with_columns(minute=pl.col("minute") * STEP_MINUTES + n, count=pl.col("count") / STEP_MINUTES)
            for n in range(STEP_MINUTES)
        ]
        self._minutes = pl.concat(parts)

    def __call__(self, sql: str, settings: object) -> pl.DataFrame:
        first, end = (int(second) for second in re.findall(r"toDateTime\((\d+)", sql))
        rows, size = (self._steps, STEP_S) if f", {STEP_S})" in sql else (self._minutes, 60)
        return rows.filter(pl.col("minute").is_between(first // size, end // size - 1))


@pytest.mark.slow
def test_a_back_test_of_stored_events_follows_the_zone_of_the_brand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "explain", lambda *_: ((), ()))
    rules = Alerts.model_validate({"rules": [{"name": "volume", "type": "spike"}]})
    span, stored = (datetime(2026, 3, 30, 5, tzinfo=UTC), datetime(2026, 3, 30, 9, tzinfo=UTC)), Stored(CHANGES[0])
    assert not judge.backtest(stored, rules, *span, zones={"Berlin": BERLIN})
    assert {alert.scope.brand for alert in judge.backtest(stored, rules, *span)} == {"Berlin"}


# --- live -------------------------------------------------------------------------------------------------------------
def windows_at(moment: datetime, zones: dict[str, str], *rules: dict[str, Any]) -> Windows:
    """Of brands Berlin and Other, both with opening hours in Berlin until this moment."""
    config = Alerts.model_validate({"rules": [{"name": f"rule-{n}", "type": "spike", **rule} for n, rule in enumerate(rules)]})
    windows = Windows(config.rules, lambda *which: pl.DataFrame(), zones=zones)  # type: ignore[arg-type]  # windowed ones only
    minute = int(moment.timestamp()) // 60
    step, series = (minute - 1) // STEP_MINUTES, opening_hours(CHANGES[0], 6)
    steps = [int(time.timestamp()) // 300 for time in series.times]
    rows = [
        said(at, int(count), brand, live=count)
        for at, value in zip(steps, series.values, strict=True)
        for brand, count in (("Berlin", value), ("Other", value), ("Steady", 60.0))
        if at < step and count
    ]
    windows.move(minute - 1)
    for history in windows.histories.values():
        load(history, pl.DataFrame(rows), step)
    windows.move(minute)
    late = [said(minute - n, 10, brand) for n in range(5) for brand in ("Berlin", "Other")]
    windows.put(frame(*late), range(minute - 4, minute + 1), None)
    return windows


def expected(windows: Windows, moment: datetime) -> dict[str, list[float]]:
    """By brand: per rule."""
    (verdicts,) = windows.judge(int(moment.timestamp()) // 60, over=True, watched=[Scope("Berlin"), Scope("Other")])
    return {scope.brand: verdicts.expected[row].round(3).tolist() for row, scope in enumerate(verdicts.scopes)}


MORNING = datetime(2026, 3, 30, 7, 34, tzinfo=UTC)
"""By the clock of Berlin half past nine, by that of the weeks before half past eight."""


def test_the_zone_of_a_rule_comes_before_that_of_the_brand_and_that_before_utc() -> None:
    rules: list[dict[str, Any]] = [{}, {"zone": BERLIN}, {"zone": "UTC"}]
    found = expected(windows_at(MORNING, {"Berlin": BERLIN}, *rules), MORNING)
    assert found["Berlin"][0] == found["Berlin"][1] > 2 * found["Berlin"][2]
    assert found["Other"][0] == found["Other"][2] < found["Other"][1] / 2


@pytest.mark.slow
def test_a_live_baseline_is_that_of_the_back_test() -> None:
    series = opening_hours(CHANGES[0], 6)
    at = series.times.index(MORNING.replace(minute=30))
    for zone in (BERLIN, "Asia/Kolkata", "UTC"):
        walked = replay_series(series.times[: at + 1], series.values[: at + 1], Spike(), zone=zone)
        live = expected(windows_at(MORNING, {"Berlin": zone}, {}), MORNING)
        assert live["Berlin"][0] == pytest.approx(walked.expected[at], rel=1e-3)


@pytest.mark.parametrize("hour", [3, 4, 7])
def test_the_longest_window_over_a_change_is_that_of_the_back_test(hour: int) -> None:
    """Until four hours after the clock changed, that window is five hours long by the clock."""
    moment = datetime(2026, 3, 29, hour, 4, tzinfo=UTC)
    series = opening_hours(CHANGES[0], 6)
    at = series.times.index(moment.replace(minute=0))
    walked = replay_series(series.times[: at + 1], series.values[: at + 1], Spike(), zone=BERLIN)
    windows = windows_at(moment, {"Berlin": BERLIN}, {})
    (verdicts,) = windows.judge(int(moment.timestamp()) // 60, over=True, watched=[Scope("Berlin")])
    row = verdicts.scopes.index(Scope("Berlin"))
    assert verdicts.upper[row, 0] == pytest.approx(walked.upper[at], rel=1e-3)


def test_other_zones_are_in_force_at_once_and_need_no_history_again() -> None:
    windows = windows_at(MORNING, {}, {})
    before = expected(windows, MORNING)
    assert before["Berlin"] == before["Other"]
    windows.use_zones({"Other": BERLIN})
    now = expected(windows, MORNING)
    assert now["Berlin"] == before["Berlin"] and now["Other"][0] > 2 * now["Berlin"][0]
    windows.use_zones({})
    assert expected(windows, MORNING) == before


def test_a_change_of_zones_is_worked_out_again_for_its_brands_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 ms a scope, on the thread that evaluates: 80,000 scopes were 44 s."""
    windows = windows_at(MORNING, {"Berlin": BERLIN}, {})
    expected(windows, MORNING)
    studied = list[int]()

    def count(counts: Any, spike: Spike) -> Study:
        studied.append(len(counts))
        return study(counts, spike)

    monkeypatch.setattr(expected_module, "study", count)
    for zones in ({"Berlin": BERLIN}, {"Berlin": BERLIN, "Unheard": "Asia/Tokyo"}):
        windows.use_zones(zones)
        expected(windows, MORNING)
    assert not studied
    windows.use_zones({"Berlin": BERLIN, "Other": BERLIN})
    expected(windows, MORNING)
    assert studied == [1]
    windows.use_zones({"Berlin": BERLIN})
    expected(windows, MORNING)
    assert studied == [1], "that of before is known still"


def test_the_expectation_of_an_hour_is_small_and_counted() -> None:
    windows = windows_at(MORNING, {"Berlin": BERLIN}, {}, {"direction": "below"})
    (history,) = windows.histories.values()
    rows, before = windows.rings[next(iter(windows.rings))].table.known(), history.nbytes
    for spike in (Spike(), DROP):
        for age in range(LATE_STEPS):
            history.baseline(spike, rows, history.step - age)
    assert 500 < (history.nbytes - before) / len(rows) < 3_200  # three windows each


def test_a_row_that_another_brand_takes_over_has_that_brands_zone() -> None:
    windows = windows_at(MORNING, {"New": BERLIN}, {})
    (ring,) = windows.rings.values()
    table = ring.table
    windows._forget(next(iter(windows.histories)), table.find([Scope("Other")]))
    windows.put(frame(said(ring.last, 3, "New")), [ring.last], None)
    (row,) = table.find([Scope("New")])
    assert table.scopes[row] == Scope("New") and len(table.scopes) == 3
    assert [zone for zone, _ in table.by_zone(np.array([row]))] == [BERLIN]
