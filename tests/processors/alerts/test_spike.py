"""The spike detector: what must raise and what must not, on counts made for it; its tails beside exact sums."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.processors.alerts.spike import Baseline, Verdict, expect, judge, judge_share, learn, rates_of
from pipeline.processors.alerts.spike_parameters import DROP, Spike
from pipeline.processors.alerts.study import HOURS_BACK, Study, study
from pipeline.processors.alerts.tails import share_surprise, surprise

Floats = npt.NDArray[np.floating[Any]]

SPIKE = Spike()
DAY = 288
STEP = 12 * 100_000
"""A step that begins an hour."""


def noise(mean: float | Floats, days: float, scopes: int = 1, seed: int = 1) -> Floats:
    mean = np.broadcast_to(mean, (scopes, int(days * DAY)))
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


def said(counts: Floats, observed: float | Floats, spike: Spike = SPIKE, step: int = STEP) -> Verdict:
    return judge(learn(counts, step, spike), np.broadcast_to(np.asarray(observed, float), len(counts)), spike)


@pytest.mark.parametrize("days", [0.5, 5, 25], ids=["recent", "hour of day", "hour of week"])
@pytest.mark.parametrize("mean", [0.5, 30, 3_000])
def test_a_clear_spike_is_raised_at_once_and_the_usual_is_not(days: float, mean: float) -> None:
    counts = noise(mean, days, scopes=3)
    usual, burst = said(counts, mean), said(counts, 20 * mean + 20)
    assert not usual.above.any()
    assert not usual.below.any()
    assert (burst.above > 0).all()
    assert (burst.score > 1).all()
    assert np.allclose(usual.expected, mean, rtol=0.25)


@pytest.mark.parametrize("days", [0.5, 5, 25])
def test_a_clear_drop_is_raised_once_it_lasts(days: float) -> None:
    counts = noise(50, days)
    assert said(counts, 0, DROP).below == 0
    counts[:, -11:] = 0
    verdict = said(counts, 0, DROP)
    assert verdict.below > 0
    assert verdict.above == 0


def test_few_mentions_drop_never_and_spike_only_from_the_minimum_on() -> None:
    quiet = np.zeros((1, 10 * DAY), np.float32)
    assert said(quiet, SPIKE.minimum - 1).above == 0
    assert said(quiet, SPIKE.minimum).above > 0
    assert said(quiet, 0, DROP).below == 0


@pytest.mark.parametrize("days", [1, 6, 25])
def test_a_daily_cycle_raises_nothing(days: int) -> None:
    at = np.arange((days + 1) * DAY)
    counts = noise(40 * (1 + 0.8 * np.sin(at / DAY * 2 * np.pi)), days + 1)
    for step in range(days * DAY, (days + 1) * DAY, 5):
        verdict = said(counts[:, :step], float(counts[0, step]), step=STEP + step)
        assert verdict.above == 0


def test_once_three_weeks_are_known_a_weekly_hour_is_expected() -> None:
    counts = noise(20, 27, seed=3)
    for days in (6, 13, 20):  # ago, it was the hour of the week that it is a day from now
        counts[:, -days * DAY - 12 : -days * DAY + 24] = 100
    before = learn(counts, STEP, SPIKE)
    then = learn(np.hstack([counts, noise(20, 1)]), STEP + DAY, SPIKE)
    assert before.expected < 25
    assert then.expected > 50


def test_who_often_bursts_has_to_burst_higher() -> None:
    calm, bursty = noise(30, 14, scopes=2)
    bursty[::37] = 400
    verdict = said(np.stack([calm, bursty]), 450)
    assert verdict.above[0] > 0
    assert verdict.above[1] == 0
    assert verdict.expected == pytest.approx([30, 30], rel=0.1)  # what is expected does not learn from bursts


@pytest.mark.parametrize(("spike", "ratio", "name"), [(SPIKE, 2.0, "above"), (DROP, 0.61, "below")])
def test_a_lasting_change_is_found_by_the_longest_window_only(spike: Spike, ratio: float, name: str) -> None:
    counts = noise(50, 14)
    counts[:, -47:] = np.rint(counts[:, -47:] * ratio)
    short = replace(spike, windows_s=spike.windows_s[:1], least=spike.least[:1])
    assert not getattr(said(counts, 50 * ratio, short), name)
    verdict = said(counts, 50 * ratio, spike)
    assert getattr(verdict, name) > 0
    assert getattr(verdict, f"window_{name}") == len(spike.windows_s) - 1


def test_a_burst_that_is_over_is_over_in_the_longer_windows_too() -> None:
    counts = noise(50, 14)
    counts[:, -9:-3] = 2_000
    verdict = said(counts, 52)
    assert verdict.above == 0
    assert verdict.score < 0.5  # under which an alert resolves, though the last hours had five times the usual


def test_more_windows_raise_the_bars_of_a_past_in_which_each_is_high_at_times() -> None:
    counts = noise(50, 28)
    for day in range(1, 28, 2):
        counts[:, day * DAY : day * DAY + 3] *= 6
    for day in range(2, 28, 2):
        counts[:, day * DAY : day * DAY + 48] *= 2.2
    alone = [study(counts, replace(SPIKE, windows_s=(size,), least=(1.6,))).bar_above[0, 0] for size in SPIKE.windows_s]
    together = study(counts, replace(SPIKE, least=(1.6,) * 3)).bar_above[0]
    assert (together >= np.array(alone) * 0.999).all()


def test_an_unknown_hour_of_a_long_window_is_as_expected() -> None:
    counts = noise(50 * (1 + 0.8 * np.sin(np.arange(14 * DAY) / DAY * 2 * np.pi)), 14)
    gap = counts.copy()
    gap[:, -30:-6] = np.nan
    whole, some = learn(counts, STEP, DROP), learn(gap, STEP, DROP)
    assert some.ended == pytest.approx(whole.ended, rel=0.05)
    assert some.window == pytest.approx(whole.window, rel=0.02)


@pytest.mark.parametrize("clock", ["as ever", "skips an hour", "comes twice"])
def test_the_rates_of_a_long_window_are_those_of_its_hours_by_the_clock(clock: str) -> None:
    """Rates that rise by 1 an hour, as the clock has it."""
    one = np.ones((1, 3))
    rising = Study(np.ones(1, bool), np.arange(HOURS_BACK + 2, dtype=float)[None], one, one, one)
    steps = STEP + 5 - np.arange(48, -1, -1)
    steps[:20] += {"as ever": 0, "skips an hour": -12, "comes twice": 12}[clock]
    rates = rates_of(rising, STEP + 5, SPIKE, clock=steps)
    np.testing.assert_allclose(rates[0], HOURS_BACK + (steps - STEP + 0.5) / 12 - 0.5)


def test_without_an_hour_of_history_nothing_is_judged() -> None:
    for counts in (np.empty((2, 0), np.float32), np.full((2, 300), np.nan, np.float32), noise(30, 5 / DAY, scopes=2)):
        verdict = said(counts, 1e6, step=STEP + counts.shape[1] % 12)
        assert not verdict.above.any()
        assert not verdict.score.any()


def test_what_is_unknown_is_not_zero() -> None:
    counts = noise(30, 10)
    gap = counts.copy()
    gap[:, ::3] = np.nan
    gap[:, :DAY] = np.nan
    whole, some = learn(counts, STEP, SPIKE), learn(gap, STEP, SPIKE)
    assert some.expected == pytest.approx(whole.expected, rel=0.1)
    assert some.ended == pytest.approx(whole.ended, rel=0.5)


def test_scopes_do_not_know_of_each_other_and_more_history_is_not_read() -> None:
    counts = noise(np.array([[0.3], [5], [200]]), 30, scopes=3)
    together = learn(counts, STEP, SPIKE)
    for row in range(3):
        alone = learn(counts[row : row + 1, -28 * DAY :], STEP, SPIKE)
        assert all(np.allclose(a[row], b[0], equal_nan=True) for a, b in zip(together, alone, strict=True))


def test_within_an_hour_only_the_last_window_is_looked_at_again() -> None:
    counts = noise(20, 10, scopes=2)
    for within in range(1, 12):
        known = counts[:, : counts.shape[1] - 12 + within]
        from_study = expect(study(counts[:, :-12], SPIKE), known[:, -48:], STEP + within, SPIKE)
        assert_same(from_study, learn(known, STEP + within, SPIKE))


def assert_same(one: Baseline, other: Baseline) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 500).map(float), st.just(float("nan"))), min_size=24, max_size=800),
    st.integers(0, 11),
    st.lists(st.integers(0, 5_000), min_size=2, max_size=8),
)
def test_more_is_never_less_severe(history: list[float], within: int, observed: list[int]) -> None:
    baseline = learn(np.array([history], np.float32), STEP + within, SPIKE)
    observed.sort()
    verdicts = [judge(baseline, np.array([float(count)]), SPIKE) for count in observed]
    for before, after in zip(verdicts, verdicts[1:], strict=False):
        assert before.above <= after.above
        assert before.below >= after.below
        assert before.score <= after.score
    for verdict, count in zip(verdicts, observed, strict=True):
        assert 0 <= verdict.above <= 10
        assert not (verdict.above and verdict.below)
        assert (verdict.above > 0) == (count > verdict.upper)


@pytest.mark.parametrize("mean", [0.3, 4, 40, 700])
@pytest.mark.parametrize("dispersion", [0, 0.05, 1.5])
def test_tails_are_those_of_the_sums(mean: float, dispersion: float) -> None:
    """Within 0.04 of -log10, which is a tenth of the probability, from a tail of 1 % on."""
    counts = np.arange(int(mean * 150) + 3_000)
    lgamma = np.vectorize(math.lgamma)
    if dispersion:
        size = 1 / dispersion
        logs = lgamma(counts + size) - math.lgamma(size) - lgamma(counts + 1)
        logs += size * math.log(size / (size + mean)) + counts * math.log(mean / (size + mean))
    else:
        logs = counts * math.log(mean) - mean - lgamma(counts + 1)
    mass = np.exp(logs)
    above, below = np.cumsum(mass[::-1])[::-1], np.cumsum(mass)
    for exact, side in ((above, counts > mean), (below, counts < mean)):
        told = side & (exact < 0.01) & (exact > 1e-12)
        got = surprise(counts[told].astype(float), np.array(mean), np.array(dispersion))
        np.testing.assert_allclose(got, -np.log10(exact[told]), atol=0.04)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_a_share_is_judged_by_what_a_binomial_does(share: float) -> None:
    spike = Spike(share_dispersion=0, surprise=4)
    number = 400
    counts = np.arange(number + 1)
    mass = np.array([math.comb(number, k) * share**k * (1 - share) ** (number - k) for k in counts])
    above = np.cumsum(mass[::-1])[::-1]
    verdict = judge_share(np.full(len(counts), share), counts.astype(float), np.full(len(counts), float(number)), spike)
    told = (counts > number * share) & (above < 0.01) & (above > 1e-150)
    surprised = share_surprise(counts / number, np.full(len(counts), share), np.full(len(counts), float(number)))
    np.testing.assert_allclose(surprised[told], -np.log10(above[told]), atol=0.04)
    assert (np.diff(verdict.above) >= 0).all()
    assert verdict.above[int(number * share)] == 0
    assert verdict.above[number] > 0
    assert ((verdict.above > 0) <= (counts / number >= verdict.upper)).all()


def test_a_share_of_few_or_of_the_unknown_is_not_judged() -> None:
    verdict = judge_share(np.array([0.1, np.nan, 0.1]), np.array([5.0, 90, 90]), np.array([5.0, 100, 100]), SPIKE)
    assert verdict.above.tolist()[:2] == [0, 0]
    assert verdict.above[2] > 0
    assert judge_share(np.array([0.7]), np.array([1.0]), np.array([100.0]), SPIKE).below > 0


@pytest.mark.parametrize(
    ("weeks", "spike", "name"),
    [(0, SPIKE, "above"), (3, SPIKE, "above"), (0, DROP, "below")],
    ids=["cold start", "three weeks", "drops"],
)
@pytest.mark.slow
def test_a_week_of_noise_raises_at_most_one_alert_per_brand(weeks: int, spike: Spike, name: str) -> None:
    """Looked at each minute, on the last five: 10,080 looks a week. 20 brands each of 1, 30 and 1,000 mentions a minute."""
    rates = np.repeat([1.0, 30.0, 1_000.0], 20)[:, None]
    minutes = np.random.default_rng(7).poisson(rates, (60, (weeks + 1) * 7 * 1_440)).astype(np.float32)
    assert alerts(looked_at(minutes, weeks, spike, name), spike).max() <= 1


@pytest.mark.slow
def test_a_week_of_uneven_noise_with_a_daily_cycle_raises_at_most_one_alert_per_brand() -> None:
    random = np.random.default_rng(8)
    size = 7 * 1_440
    cycle = 1 + 0.6 * np.sin(np.arange(size) / 1_440 * 2 * np.pi)
    uneven = np.repeat(random.gamma(8, 1 / 8, (40, size // 5)), 5, axis=1)
    minutes = random.poisson(np.repeat([1.0, 30.0], 20)[:, None] * cycle * uneven).astype(np.float32)
    assert alerts(looked_at(minutes, 0, SPIKE, "above"), SPIKE).max() <= 1


def looked_at(minutes: Floats, weeks: int, spike: Spike, name: str) -> npt.NDArray[np.bool_]:
    """Whether something is raised, for each brand and minute of the last week, judged as it would be live."""
    brands = len(minutes)
    steps = minutes.reshape(brands, -1, 5).sum(2)
    running = np.cumsum(minutes, axis=1, dtype=np.float64)
    running[:, 5:] -= running[:, :-5].copy()
    raised = np.zeros(minutes.shape, bool)
    for begin in range(max(weeks * 2_016, 12), steps.shape[1], 12):
        learned = study(steps[:, :begin], spike)
        rows = Study._make(np.repeat(array, 12, axis=0) for array in learned)  # brand by brand, its twelve steps
        windows = sliding_window_view(steps[:, begin - 12 : begin + 11], 12, axis=1).reshape(-1, 12)
        baseline = expect(rows, windows, np.tile(np.arange(12), brands), spike)
        for minute in range(5):
            places = (begin + np.arange(12)) * 5 + minute
            verdict = judge(baseline, running[:, places].ravel(), spike, (minute + 1) / 5)
            raised[:, places] = (getattr(verdict, name) > 0).reshape(brands, 12)
    return raised[:, weeks * 7 * 1_440 :]


def alerts(raised: npt.NDArray[np.bool_], spike: Spike) -> npt.NDArray[np.int64]:
    """Per brand: alerts chain while they come before it was calm."""
    return np.array([int(np.sum(np.diff(np.flatnonzero(row), prepend=-1e9) > spike.calm_s / 60)) for row in raised])
