"""What is expected of a count, and whether what is seen is a spike or a drop: for many scopes at once, from their past alone.

A scope is a brand, or a brand and a platform, ...: a row of every matrix here. `learn` looks at the past once per step, `judge`
compares the running count with what was learned, as often as one likes: once a second for a thousand scopes.

Expected is the median of the same hour: of the week once three weeks are known, of the day once two days are, before that of
the last three hours. A count is a spike when it passes each of three hurdles; each keeps quiet what the others would raise:

- chance: its tail under a negative binomial (Poisson, where nothing speaks against it) is 10 ** -`surprise` at most,
- habit: the log of its ratio to what was expected is above the scope's own bar, `factor` times the `quantile` of the highest
  that each three hours of the last four weeks had. A brand that often bursts has to burst higher, without a setting of its own,
- size: there are at least `minimum` mentions.

A drop is the same thing downwards. All of it is judged on the sum of the last `window_s` seconds, in which the count of the
last step is the newest part. docs/spikes.md has the formulas, their sources and what they reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

STEP_S = 300
DAYS = 28
"""How much of the past `learn` looks at; more does no harm and is not read."""

_HOUR_S = 3_600
_BLOCK_HOURS = 3
_DAY_BLOCKS = 24 // _BLOCK_HOURS
_WEEKS_KNOWN = 21 * 24
_DAYS_KNOWN = 2 * 24
_DAYS_USED = 14
_RECENT_HOURS = 3
_ROWS = 64  # scopes studied at a time: what is made of them stays in the processor's cache
_HALVINGS = 26
_SHARE_HALVINGS = 12
_ERFC = (
    (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806)
    + (0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277)
)  # fmt: skip
_CAP = 4.0  # of a squared deviation over its expected variance: past spikes must not teach the dispersion


@dataclass(frozen=True, slots=True)
class Spike:
    """The parameters of the detector. The defaults are what is shipped; one set serves every series."""

    window_s: int = 900
    """What is judged is the sum of so many seconds, an hour's at most."""
    quantile: float = 0.97
    """Of the highest ratios of the past's blocks of three hours: where the scope's bar is taken."""
    factor: float = 1.15
    """So many times that quantile, in logs, is the bar."""
    soften: float = 4.0
    """Added to both sides of the ratio, so that 10 mentions instead of 0 are no infinite rise."""
    least: float = 2.5
    """The smallest ratio that counts, however quiet the past was."""
    prior: float = 3.0
    """The highest ratio that is taken for a block which the first day does not have yet."""
    surprise: float = 6.0
    """-log10 of the largest tail that is no chance: a scope is looked at 2,000 times a week, and in between."""
    minimum: float = 10.0
    """Mentions in the window, at least (for a drop: expected in it)."""
    calm_s: int = 10_800
    """An alert is over when the ratio has been under half its bar for so long."""
    share_least: float = 2.0
    """The smallest ratio of odds that counts, of a negative share."""
    share_dispersion: float = 0.02
    """How alike two mentions of the same minutes are in tone: the intra-class correlation of the beta-binomial."""


DROP = Spike(window_s=3_600)
"""For drops: that nothing comes takes longer to tell than that much does."""


class Study(NamedTuple):
    """The slow part of what is learned: it looks at whole hours only, so it holds until the hour is over."""

    known: Bools
    """Whether there is an hour of history, without which nothing is judged."""
    rates: Floats
    """Expected per step in the hour before, this hour, and the hour after: (scopes, 3)."""
    dispersion: Floats
    bar_above: Floats
    bar_below: Floats


class Baseline(NamedTuple):
    """What was learned of each scope for one step: arrays of one value per scope."""

    known: Bools
    expected: Floats
    """In this step."""
    dispersion: Floats
    """Of the negative binomial: its variance is m + dispersion * m ** 2. It has in it how well `expected` is known."""
    window: Floats
    """Expected in the window that ends with this step."""
    begun: Floats
    """Seen in the window without its newest step: as this step begins,"""
    ended: Floats
    """and as it ends."""
    bar_above: Floats
    """The log ratio that a spike has to pass, and that a drop has to."""
    bar_below: Floats
    limit_above: Floats
    """The window's count above which there is a spike, and the one below which there is a drop (NaN: none can be)."""
    limit_below: Floats


class Verdict(NamedTuple):
    """What is said of each scope: arrays of one value per scope. `above` and `below` are severities: 0 nothing, 1 to 10."""

    expected: Floats
    lower: Floats
    """What is counted from `lower` to `upper` raises nothing."""
    upper: Floats
    above: Ints
    below: Ints
    score: Floats
    """The log ratio over its bar: a spike has more than 1, a drop less than -1; 0 where nothing is known."""
    surprise: Floats
    """-log10 of the probability of what is as far out as this, or farther."""


def learn(counts: Floats, step: int, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The baseline for `step` (its number since 1970) from the counts (scopes, steps) of the steps before it, the newest last.

    NaN is a step of which nothing is known: before a scope's first event, or a gap. The same counts give the same baseline.
    """
    return expect(study(counts[:, : counts.shape[1] - step % _per_hour(step_s)], spike, step_s), counts, step, spike, step_s)


def study(counts: Floats, spike: Spike, step_s: int = STEP_S) -> Study:
    """The slow part of `learn`, from the counts up to the beginning of the hour; `expect` does the rest."""
    parts = [_study(counts[row : row + _ROWS], spike, step_s) for row in range(0, max(len(counts), 1), _ROWS)]
    return Study(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def expect(study: Study, counts: Floats, step: int | Ints, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The fast part of `learn`, from a study of the hour of `step` and the counts of at least the last window."""
    size = _window_steps(spike, step_s)
    hour = _per_hour(step_s)
    shift = (np.asarray(step) % hour + 0.5) / hour - 0.5  # from the middle of the hour, where its rate holds
    before, now, after = study.rates.T
    expected = now + np.maximum(shift, 0) * (after - now) + np.maximum(-shift, 0) * (before - now)
    recent = np.full((len(expected), size), np.nan)
    if counts.shape[1]:
        recent[:, -counts.shape[1] :] = counts[:, -size:]
    recent = np.where(np.isnan(recent), expected[:, None], recent)
    window = expected * size
    above, below = _limits(window, study, spike)
    return Baseline(
        known=study.known,
        expected=expected,
        dispersion=study.dispersion,
        window=window,
        begun=recent[:, :-1].sum(1),
        ended=recent[:, 1:].sum(1),
        bar_above=study.bar_above,
        bar_below=study.bar_below,
        limit_above=above,
        limit_below=below,
    )


def judge(baseline: Baseline, observed: Floats, spike: Spike, elapsed: float = 1.0) -> Verdict:
    """What the counts of the last `step_s` seconds say, when `elapsed` (0 to 1) of the baseline's step is over."""
    before = baseline.begun + elapsed * (baseline.ended - baseline.begun)
    total = before + observed
    ratio = np.log((total + spike.soften) / (baseline.window + spike.soften))
    score = np.where(baseline.known, ratio / np.where(ratio > 0, baseline.bar_above, baseline.bar_below), 0)
    # The newest step has to be out of the ordinary itself: an alert is about what goes on.
    upper = np.maximum(baseline.limit_above - before, baseline.expected)
    lower = np.minimum(baseline.limit_below - before, baseline.expected)
    return Verdict(
        expected=baseline.expected,
        lower=np.fmax(lower, 0),
        upper=upper,
        above=np.where(baseline.known & (observed > upper), _severity(score), 0),
        below=np.where(baseline.known & (observed < lower), _severity(-score), 0),
        score=score,
        surprise=np.where(baseline.known, _surprise(total, baseline.window, baseline.dispersion), 0),
    )


def judge_share(expected: Floats, negative: Floats, labelled: Floats, spike: Spike) -> Verdict:
    """The same of the negative share: `negative` of `labelled` mentions where `expected` is the past's share (NaN: unknown).

    The tail is a binomial's, of as many mentions as there are independent ones among those labelled; the hurdle that takes the
    place of habit is a ratio of odds. `lower` and `upper` are shares.
    """
    known = np.isfinite(expected) & (labelled >= spike.minimum)
    mean = np.clip(np.nan_to_num(np.asarray(expected, np.float64)), 0.01, 0.99)
    n = np.maximum(labelled, 1)
    share = negative / n
    n = n / (1 + (n - 1) * spike.share_dispersion)
    bar = np.log(spike.share_least)
    score = np.where(known, (_logit((share * n + 0.5) / (n + 1)) - _logit(mean)) / bar, 0)
    surprise = _share_surprise(share, mean, n)
    upper = _search(lambda x: _share_surprise(x, mean, n) < spike.surprise, mean, np.ones_like(mean), _SHARE_HALVINGS)
    lower = _search(lambda x: _share_surprise(x, mean, n) < spike.surprise, mean, np.zeros_like(mean), _SHARE_HALVINGS)
    unlikely = known & (surprise >= spike.surprise)
    return Verdict(
        expected=np.where(known, mean, np.nan),
        lower=np.minimum(lower, _share(_logit(mean) - bar)),
        upper=np.maximum(upper, _share(_logit(mean) + bar)),
        above=np.where(unlikely & (score > 1), _severity(score), 0),
        below=np.where(unlikely & (score < -1), _severity(-score), 0),
        score=score,
        surprise=np.where(known, surprise, 0),
    )


def _per_hour(step_s: int) -> int:
    return max(1, _HOUR_S // step_s)


def _window_steps(spike: Spike, step_s: int) -> int:
    return max(1, spike.window_s // step_s)


def _study(counts: Floats, spike: Spike, step_s: int) -> Study:
    steps = _by_hour(counts, step_s)
    seen = np.isfinite(steps)
    here = seen.sum(2)
    rates = np.where(seen, steps, 0).sum(2) / np.where(here > 0, here, np.nan)
    age = np.where((here > 0).any(1), here.shape[1] - (here > 0).argmax(1), 0)
    fitted, current, used = _expected(rates, age, steps.shape[2])
    dispersion = _dispersion(steps, fitted, current[:, 1], used * steps.shape[2])
    above, below = _bars(steps, fitted, spike, step_s)
    return Study((age > 0) & np.isfinite(current[:, 1]), current, dispersion, above, below)


def _by_hour(counts: Floats, step_s: int) -> Floats:
    """The newest whole days, (scopes, hours, steps of an hour); what is missing of the first day is unknown."""
    size = _per_hour(step_s)
    counts = counts[:, -DAYS * 24 * size :]
    days = max(1, -(-counts.shape[1] // (24 * size)))
    padded = np.full((len(counts), days * 24 * size), np.nan, np.float32)
    padded[:, padded.shape[1] - counts.shape[1] :] = counts
    return padded.reshape(len(counts), -1, size)


def _expected(rates: Floats, age: Ints, size: int) -> tuple[Floats, Floats, Floats]:
    """What is expected in each step of the past, (scopes, hours, steps of an hour); per step in the hour before this, in this
    and in the next one; and of how many hours it is the median. `rates`: the mean count per step in each hour of the past."""
    scopes, hours = rates.shape
    recent = np.full((scopes, hours + 1), np.nan)
    padded = np.pad(rates, ((0, 0), (_RECENT_HOURS - 1, 0)), constant_values=np.nan)
    recent[:, 1:] = _median(sliding_window_view(padded, _RECENT_HOURS, axis=1))
    fitted = np.repeat(recent[:, :-1, None], size, axis=2).astype(np.float32)
    current = np.repeat(recent[:, -1:], 3, axis=1)
    used = np.full(scopes, float(_RECENT_HOURS))
    for since, season in ((_DAYS_KNOWN, _of_the_day), (_WEEKS_KNOWN, _of_the_week)):
        rows = np.flatnonzero(age >= since)
        if rows.size:
            profile, used[rows] = season(rates[rows])
            around = profile[:, np.arange(-1, hours + 2) % profile.shape[1]]
            fitted[rows] = _between(around, size)[:, :-1]
            current[rows] = np.where(np.isnan(around[:, -3:]), current[rows], around[:, -3:])
    return fitted, current, used


def _of_the_day(rates: Floats) -> tuple[Floats, Floats]:
    """The median of each hour of the day, the first hour of `rates` first, and of how many days it is."""
    days = rates.reshape(len(rates), -1, 24)[:, -_DAYS_USED:]
    return _median(days.swapaxes(1, 2)), np.isfinite(days).any(2).sum(1).astype(float)


def _of_the_week(rates: Floats) -> tuple[Floats, Floats]:
    """Between the median of each hour of the week, with the hours beside it, and that of the hour of the day: three or four
    weeks alone are few, and one of them may have had its burst then."""
    padded = np.full((len(rates), DAYS * 24), np.nan)
    padded[:, -rates.shape[1] :] = rates
    weeks = padded.reshape(len(rates), -1, 7 * 24)
    beside = np.stack([np.roll(weeks, shift, axis=2) for shift in (-1, 0, 1)], axis=-1)
    profile = _median(beside.swapaxes(1, 2).reshape(len(rates), 7 * 24, -1))
    daily, used = _of_the_day(rates)
    weekly = np.roll(profile, rates.shape[1], axis=1)
    return np.where(np.isnan(weekly), np.tile(daily, 7), (weekly + np.tile(daily, 7)) / 2), used


def _between(hours: Floats, size: int) -> Floats:
    """From the rates of hours, in whose middles they hold, the steps of all but the first and the last hour."""
    within = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    hours = hours.astype(np.float32)
    before, now, after = (hours[:, start : hours.shape[1] - 2 + start, None] for start in range(3))
    return now + np.maximum(within, 0) * (after - now) + np.maximum(-within, 0) * (before - now)


def _dispersion(steps: Floats, fitted: Floats, rate: Floats, used: Floats) -> Floats:
    """How much more than a Poisson distribution's the variance is, over the mean squared; with the doubt about the mean."""
    variance = fitted + 0.5
    deviation = np.minimum((steps - fitted) ** 2 / variance, _CAP)
    known = np.isfinite(deviation)
    number = np.maximum(known.sum((1, 2)), 1)
    mean = np.maximum(np.where(known, fitted, 0).sum((1, 2)) / number, 0.01)
    excess = np.where(known, deviation, 0).sum((1, 2)) / number * (mean + 0.5) - mean
    spread = np.maximum(excess, 0) / mean**2
    doubt = np.pi / 2 / (np.maximum(used, 1) * np.maximum(np.nan_to_num(rate), 0.01))
    return np.asarray(spread + doubt, np.float64)


def _bars(steps: Floats, fitted: Floats, spike: Spike, step_s: int) -> tuple[Floats, Floats]:
    """The log ratios that a spike and a drop have to pass, from the highest and the lowest ratio in each block of the past."""
    size = _window_steps(spike, step_s)
    counts = steps.reshape(len(steps), -1)
    total = counts.copy()
    for back in range(1, size):
        total[:, back:] += counts[:, :-back]
    total[:, : size - 1] = np.nan
    total += np.float32(spike.soften)
    total /= fitted.reshape(len(steps), -1) * np.float32(size) + np.float32(spike.soften)
    blocks = total.reshape(len(steps), -1, _BLOCK_HOURS * steps.shape[2])
    least = np.log(spike.least)
    highest, lowest = np.log(np.fmax.reduce(blocks, axis=2)), -np.log(np.fmin.reduce(blocks, axis=2))
    return np.maximum(least, spike.factor * _high(highest, spike)), np.maximum(least, spike.factor * _high(lowest, spike))


def _high(blocks: Floats, spike: Spike) -> Floats:
    """The quantile of what is known; what the first day does not have yet is `prior`."""
    missing = _DAY_BLOCKS - np.isfinite(blocks).sum(1, keepdims=True)
    filled = np.where(np.arange(_DAY_BLOCKS) < missing, np.log(spike.prior), np.nan)
    values = np.sort(np.hstack([blocks, filled]), axis=1)
    place = spike.quantile * (np.isfinite(values).sum(1) - 1)
    below = place.astype(np.int64)
    rows = np.arange(len(values))
    low, high = values[rows, below], values[rows, np.minimum(below + 1, values.shape[1] - 1)]
    return np.asarray(np.where(place > below, low + (place - below) * (high - low), low))


def _median(values: Floats) -> Floats:
    """Of the last axis, of what is known there; NaN where nothing is."""
    values = np.sort(values, axis=-1)
    number = np.isfinite(values).sum(-1, keepdims=True)
    low = np.take_along_axis(values, np.maximum(number - 1, 0) // 2, -1)
    high = np.take_along_axis(values, np.minimum(number // 2, values.shape[-1] - 1), -1)
    return np.asarray(((low + high) / 2)[..., 0])


def _limits(window: Floats, study: Study, spike: Spike) -> tuple[Floats, Floats]:
    """Above and below which counts of a window all hurdles are passed; nothing is below NaN."""

    def likely(total: Floats) -> Bools:
        return np.asarray(_surprise(total, window, study.dispersion) < spike.surprise)

    far = (window + 10 + spike.surprise) * (10 + 10 * spike.surprise * (1 + study.dispersion))
    chance = _search(likely, window, far, _HALVINGS)
    habit = np.exp(study.bar_above) * (window + spike.soften) - spike.soften
    above = np.maximum(np.maximum(chance, habit), spike.minimum - 0.5)
    chance = _search(likely, window, np.zeros_like(window), _HALVINGS)
    habit = np.exp(-study.bar_below) * (window + spike.soften) - spike.soften
    possible = (window >= spike.minimum) & ~likely(np.zeros_like(window)) & (habit > 0)
    return above, np.where(possible, np.minimum(chance, habit), np.nan)


def _search(likely: Callable[[Floats], Bools], start: Floats, end: Floats, halvings: int) -> Floats:
    """Where from `start`, which is likely, to `end` it stops being so."""
    near, far = start.astype(np.float64), end.astype(np.float64)
    for _ in range(halvings):
        middle = (near + far) / 2
        inside = likely(middle)
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return far


def _severity(score: Floats) -> Ints:
    """1 at the bar, 6 at twice, 10 at three and a half times its log ratio."""
    return np.asarray(np.clip(1 + 5 * np.log2(np.maximum(score, 1)), 1, 10), np.int64)


def _surprise(total: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """-log10 of the negative binomial tail from `total` outwards, on the side of the mean where it is.

    Barndorff-Nielsen's saddlepoint formula with half a count as the continuity correction: within some percent of the sum.
    """
    mean, size = np.maximum(mean, 1e-3), 1 / np.maximum(dispersion, 1e-9)
    above = total > mean
    x = np.maximum(np.where(above, total - 0.5, total + 0.5), 1e-3)
    log_ratio, log_other = np.log(x / mean), np.log((x + size) / (mean + size))
    deviance = 2 * np.maximum(x * log_ratio - (x + size) * log_other, 0)
    steep = 2 * np.sinh((log_ratio - log_other) / 2) * np.sqrt(x * (1 + x / size))
    return _tail(np.sqrt(deviance), np.abs(steep), np.where(above, x > mean, x < mean))


def _share_surprise(share: Floats, mean: Floats, n: Floats) -> Floats:
    """The same of a binomial: a share of `n` mentions where `mean` is expected."""
    above = share > mean
    x = np.clip(share + np.where(above, -0.5, 0.5) / n, 1e-6, 1 - 1e-6)
    deviance = 2 * n * np.maximum(x * np.log(x / mean) + (1 - x) * np.log((1 - x) / (1 - mean)), 0)
    steep = 2 * np.sinh((_logit(x) - _logit(mean)) / 2) * np.sqrt(n * x * (1 - x))
    return _tail(np.sqrt(deviance), np.abs(steep), np.where(above, x > mean, x < mean))


def _tail(root: Floats, steep: Floats, outside: Bools) -> Floats:
    """-log10 of the tail of the saddlepoint formula; what is within half a count of the mean surprises nobody."""
    safe = np.maximum(root, 1e-2)
    z = np.maximum(safe + np.log(np.maximum(steep, 1e-9) / safe) / safe, 0)
    return np.where(outside & (root > 1e-2), _log10_normal_tail(z), 0.0)


def _log10_normal_tail(z: Floats) -> Floats:
    """-log10 of the probability that a normal variable is above z >= 0: Numerical Recipes' Chebyshev fit of erfc, to 1.2e-7."""
    x = z / np.sqrt(2)
    t = 1 / (1 + x / 2)
    fit = np.polynomial.polynomial.polyval(t, _ERFC)
    return np.asarray((x * x - fit - np.log(t / 2)) / np.log(10))


def _logit(share: Floats) -> Floats:
    return np.asarray(np.log(share / (1 - share)))


def _share(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))
