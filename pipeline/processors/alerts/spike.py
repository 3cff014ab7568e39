"""Spikes and drops: whether a count is unusual, for many scopes at once, from their past alone.

A scope is a brand, or a brand and a platform, ...: a row of every matrix here. `learn` looks at the past once per step, `judge`
compares the running count with the baseline, as often as once a second for a thousand scopes.

The expected count is the median of the same hour, by the clock of the scope's time zone: of the week once three weeks are
known, of the day once two days are, before that of the last three hours. A count is a spike when it passes all three hurdles;
each rejects false spikes of the others:

- chance: its tail under a negative binomial (Poisson, unless the past varies more) is 10 ** -`surprise` at most,
- habit: the log of its ratio to the expected count is above the scope's own bar, `factor` times the `quantile` of the highest
  that each three hours of the last four weeks had. A brand that often bursts has to burst higher, without a setting of its own,
- size: there are at least `minimum` mentions.

A drop is the same downwards. The judged count is the sum of the last `window_s` seconds, with the count of the last step as its
newest part. docs/spikes.md has the formulas, their sources and their results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike_parameters import Bools, Floats, Ints, Spike
from pipeline.processors.alerts.study import Study, per_hour, study, window_steps
from pipeline.processors.alerts.tails import logit, share_of, share_surprise, surprise

_HALVINGS, _SHARE_HALVINGS = 26, 12


class Baseline(NamedTuple):
    """The expectation of each scope for one step: arrays of one value per scope."""

    known: Bools
    expected: Floats
    """In this step."""
    dispersion: Floats
    """Of the negative binomial: its variance is m + dispersion * m ** 2. It includes the uncertainty of `expected`."""
    window: Floats
    """Expected in the window that ends with this step."""
    begun: Floats
    """Count in the window, without its newest step, when this step begins."""
    ended: Floats
    """Count in the window, without its newest step, when this step ends."""
    bar_above: Floats
    """The log ratios that a spike and a drop have to pass."""
    bar_below: Floats
    limit_above: Floats
    """The window's counts above which there is a spike, and below which there is a drop (NaN: no drop is possible)."""
    limit_below: Floats


class Verdict(NamedTuple):
    """The verdict on each scope: arrays of one value per scope. `above` and `below` are severities: 0 none, 1 to 10."""

    expected: Floats
    lower: Floats
    """Counts from `lower` to `upper` are usual."""
    upper: Floats
    above: Ints
    below: Ints
    score: Floats
    """The log ratio over its bar: a spike has more than 1, a drop less than -1; 0 where nothing is known."""
    surprise: Floats
    """-log10 of the probability of a count as far out, or farther."""


def learn(counts: Floats, step: int, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The baseline for `step` (its number since 1970) from the counts (scopes, steps) of the steps before it, the newest last.

    NaN is a step of which nothing is known: before a scope's first event, or a gap. The same counts give the same baseline.
    """
    return expect(study(counts[:, : counts.shape[1] - step % per_hour(step_s)], spike, step_s), counts, step, spike, step_s)


def expect(study: Study, counts: Floats, step: int | Ints, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The fast part of `learn`, from a study of the hour of `step` and the counts of at least the last window.

    `step` may be that of a zone's clock, and the study one by that clock (local_time.py).
    """
    size = window_steps(spike, step_s)
    hour = per_hour(step_s)
    shift = (np.asarray(step) % hour + 0.5) / hour - 0.5  # from the middle of the hour, where its rate holds
    before, now, after = study.rates.T
    expected = now + np.maximum(shift, 0) * (after - now) + np.maximum(-shift, 0) * (before - now)
    window = expected * size
    above, below = _limits(window, study, spike)
    baseline = Baseline(
        known=study.known,
        expected=expected,
        dispersion=study.dispersion,
        window=window,
        begun=np.zeros(len(expected)),
        ended=np.zeros(len(expected)),
        bar_above=study.bar_above,
        bar_below=study.bar_below,
        limit_above=above,
        limit_below=below,
    )
    return with_counts(baseline, counts, spike, step_s)


def with_counts(baseline: Baseline, counts: Floats, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The baseline with `begun` and `ended` from the counts, (scopes, steps), right before its step."""
    begun, ended = recent_sums(baseline.expected, counts, spike, step_s)
    return baseline._replace(begun=begun, ended=ended)


def recent_sums(expected: Floats, counts: Floats, spike: Spike, step_s: int = STEP_S) -> tuple[Floats, Floats]:
    """`begun` and `ended` of a baseline."""
    size = window_steps(spike, step_s)
    recent = np.full((len(expected), size), np.nan)
    if counts.shape[1]:
        recent[:, -counts.shape[1] :] = counts[:, -size:]
    recent = np.where(np.isnan(recent), expected[:, None], recent)
    return recent[:, :-1].sum(1), recent[:, 1:].sum(1)


def judge(baseline: Baseline, observed: Floats, spike: Spike, elapsed: float = 1.0) -> Verdict:
    """The verdict on the counts of the last `step_s` seconds, when `elapsed` (0 to 1) of the baseline's step has passed."""
    before = baseline.begun + elapsed * (baseline.ended - baseline.begun)
    total = before + observed
    ratio = np.log((total + spike.soften) / (baseline.window + spike.soften))
    score = np.where(baseline.known, ratio / np.where(ratio > 0, baseline.bar_above, baseline.bar_below), 0)
    # The newest step has to be unusual itself: an alert is about the present.
    upper = np.maximum(baseline.limit_above - before, baseline.expected)
    lower = np.minimum(baseline.limit_below - before, baseline.expected)
    return Verdict(
        expected=baseline.expected,
        lower=np.fmax(lower, 0),
        upper=upper,
        above=np.where(baseline.known & (observed > upper), _severity(score), 0),
        below=np.where(baseline.known & (observed < lower), _severity(-score), 0),
        score=score,
        surprise=np.where(baseline.known, surprise(total, baseline.window, baseline.dispersion), 0),
    )


def judge_share(expected: Floats, negative: Floats, labelled: Floats, spike: Spike) -> Verdict:
    """The verdict on the negative share: `negative` of `labelled` mentions, with the past's share `expected` (NaN: unknown).

    The tail is a binomial's, of the effective number of independent labelled mentions; a ratio of odds replaces the hurdle
    of habit. `lower` and `upper` are shares.
    """
    known = np.isfinite(expected) & (labelled >= spike.minimum)
    mean = np.clip(np.nan_to_num(np.asarray(expected, np.float64)), 0.01, 0.99)
    n = np.maximum(labelled, 1)
    share = negative / n
    n = n / (1 + (n - 1) * spike.share_dispersion)
    bar = np.log(spike.share_least)
    score = np.where(known, (logit((share * n + 0.5) / (n + 1)) - logit(mean)) / bar, 0)
    surprised = share_surprise(share, mean, n)
    upper = _search(lambda x: share_surprise(x, mean, n) < spike.surprise, mean, np.ones_like(mean), _SHARE_HALVINGS)
    lower = _search(lambda x: share_surprise(x, mean, n) < spike.surprise, mean, np.zeros_like(mean), _SHARE_HALVINGS)
    unlikely = known & (surprised >= spike.surprise)
    return Verdict(
        expected=np.where(known, mean, np.nan),
        lower=np.minimum(lower, share_of(logit(mean) - bar)),
        upper=np.maximum(upper, share_of(logit(mean) + bar)),
        above=np.where(unlikely & (score > 1), _severity(score), 0),
        below=np.where(unlikely & (score < -1), _severity(-score), 0),
        score=score,
        surprise=np.where(known, surprised, 0),
    )


def _limits(window: Floats, study: Study, spike: Spike) -> tuple[Floats, Floats]:
    """The counts of a window above and below which it passes all hurdles; no count is below NaN."""

    def likely(total: Floats) -> Bools:
        return np.asarray(surprise(total, window, study.dispersion) < spike.surprise)

    far = (window + 10 + spike.surprise) * (10 + 10 * spike.surprise * (1 + study.dispersion))
    chance = _search(likely, window, far, _HALVINGS)
    habit = np.exp(study.bar_above) * (window + spike.soften) - spike.soften
    above = np.maximum(np.maximum(chance, habit), spike.minimum - 0.5)
    chance = _search(likely, window, np.zeros_like(window), _HALVINGS)
    habit = np.exp(-study.bar_below) * (window + spike.soften) - spike.soften
    possible = (window >= spike.minimum) & ~likely(np.zeros_like(window)) & (habit > 0)
    return above, np.where(possible, np.minimum(chance, habit), np.nan)


def _search(likely: Callable[[Floats], Bools], start: Floats, end: Floats, halvings: int) -> Floats:
    """The point between `start`, which is likely, and `end` where values stop being likely."""
    near, far = start.astype(np.float64), end.astype(np.float64)
    for _ in range(halvings):
        middle = (near + far) / 2
        inside = likely(middle)
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return far


def _severity(score: Floats) -> Ints:
    """1 at the bar, 6 at twice, 10 at three and a half times its log ratio."""
    return np.asarray(np.clip(1 + 5 * np.log2(np.maximum(score, 1)), 1, 10), np.int64)
