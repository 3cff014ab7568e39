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

A drop is the same downwards. The judged counts are the sums of the last `windows_s` seconds, with the count of the last step as
their newest part: one of them has to pass. docs/spikes.md has the formulas, their sources and their results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike_parameters import Bools, Floats, Ints, Spike
from pipeline.processors.alerts.study import HOURS_BACK, Study, per_hour, study, window_steps
from pipeline.processors.alerts.tails import logit, share_of, share_surprise, surprise

_HALVINGS, _SHARE_HALVINGS = 26, 12


class Baseline(NamedTuple):
    """The expectation of each scope for one step: `known` and `expected` by scope, all others by scope and window."""

    known: Bools
    expected: Floats
    """In this step."""
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
    """The log ratio over its bar, of the window where it is highest: a spike has more than 1; 0 where nothing is known."""
    lowest: Floats
    """As `score`, of the window where it is lowest: a drop has less than -1."""
    window_above: Ints
    """The shortest window that has a spike: its place among `windows_s`; 0 where none has."""
    window_below: Ints
    """As `window_above`, with a drop."""


def learn(counts: Floats, step: int, spike: Spike, step_s: int = STEP_S) -> Baseline:
    """The baseline for `step` (its number since 1970) from the counts (scopes, steps) of the steps before it, the newest last.

    NaN is a step of which nothing is known: before a scope's first event, or a gap. The same counts give the same baseline.
    """
    return expect(study(counts[:, : counts.shape[1] - step % per_hour(step_s)], spike, step_s), counts, step, spike, step_s)


def expect(
    study: Study, counts: Floats, step: int | Ints, spike: Spike, step_s: int = STEP_S, clock: Ints | None = None
) -> Baseline:
    """The fast part of `learn`, from a study of the hour of `step` and the counts of at least the longest window.

    `step` may be that of a zone's clock, and the study one by that clock (local_time.py); `clock`: as of `rates_of`.
    """
    rates = rates_of(study, step, spike, step_s, clock)
    window = np.stack([rates[:, -size:].sum(1) for size in window_steps(spike, step_s)], axis=1)
    above, below = _limits(window, study, spike)
    begun, ended = recent_sums(rates[:, :-1], counts, spike, step_s)
    return Baseline(
        known=study.known,
        expected=rates[:, -1],
        window=window,
        begun=begun,
        ended=ended,
        bar_above=study.bar_above,
        bar_below=study.bar_below,
        limit_above=above,
        limit_below=below,
    )


def reach(spike: Spike, step_s: int = STEP_S) -> int:
    """The steps of the longest window."""
    return max(window_steps(spike, step_s))


def rates_of(study: Study, step: int | Ints, spike: Spike, step_s: int = STEP_S, clock: Ints | None = None) -> Floats:
    """Expected in each of the `reach` steps before `step` and in `step`: (scopes, reach + 1), in the order of time.

    `clock`: their numbers by the zone's clock, which skips and repeats some; None: it did not change. For all scopes, or a row
    for each, as `step`.
    """
    step = np.asarray(step)[..., None]
    if clock is None:
        clock = step - np.arange(reach(spike, step_s), -1, -1)
    hour = per_hour(step_s)
    hours, within = np.divmod(clock - (step - step % hour), hour)
    at = np.broadcast_to(np.clip(hours, 1 - HOURS_BACK, 0) + HOURS_BACK, (len(study.rates), clock.shape[-1]))
    shift = (within + 0.5) / hour - 0.5  # from the middle of the hour, where its rate holds
    before, now, after = (np.take_along_axis(study.rates, at + by, 1) for by in (-1, 0, 1))
    return np.asarray(now + np.maximum(shift, 0) * (after - now) + np.maximum(-shift, 0) * (before - now))


def recent_sums(rates: Floats, counts: Floats, spike: Spike, step_s: int = STEP_S) -> tuple[Floats, Floats]:
    """`begun` and `ended` of a baseline, from the counts right before its step; unknown ones are as expected (`rates`)."""
    recent: Floats = np.full(rates.shape, np.nan)
    if counts.shape[1]:
        recent[:, -counts.shape[1] :] = counts[:, -rates.shape[1] :]
    recent = np.where(np.isnan(recent), rates, recent)
    sizes = window_steps(spike, step_s)
    ended = np.stack([recent[:, recent.shape[1] + 1 - size :].sum(1) for size in sizes], axis=1)
    begun = np.stack([recent[:, recent.shape[1] - size : -1].sum(1) for size in sizes], axis=1)
    return begun, ended


def judge(baseline: Baseline, observed: Floats, spike: Spike, elapsed: float = 1.0) -> Verdict:
    """The verdict on the counts of the last `step_s` seconds, when `elapsed` (0 to 1) of the baseline's step has passed."""
    known = baseline.known[:, None]
    before = baseline.begun + elapsed * (baseline.ended - baseline.begun)
    ratio = np.log((before + observed[:, None] + spike.soften) / (baseline.window + spike.soften))
    score = np.where(known, ratio / np.where(ratio > 0, baseline.bar_above, baseline.bar_below), 0)
    # An alert is about the present: the newest step has to be unusual itself, and with a longer window the shortest one.
    usual, lasts = baseline.expected[:, None], score[:, :1] / spike.present
    upper, lower = np.maximum(baseline.limit_above - before, usual), np.minimum(baseline.limit_below - before, usual)
    soft = baseline.window[:, :1] + spike.soften
    enough = np.exp(spike.present * baseline.bar_above[:, :1]) * soft - spike.soften - before[:, :1]
    little = np.exp(-spike.present * baseline.bar_below[:, :1]) * soft - spike.soften - before[:, :1]
    upper = np.hstack([upper[:, :1], np.maximum(upper[:, 1:], enough)])
    lower = np.hstack([lower[:, :1], np.minimum(lower[:, 1:], little)])
    high = np.hstack([score[:, :1], np.minimum(score[:, 1:], lasts)])
    low = np.hstack([score[:, :1], np.maximum(score[:, 1:], lasts)])
    above, below = observed[:, None] > upper, observed[:, None] < lower
    return Verdict(
        expected=baseline.expected,
        lower=np.fmax(np.fmax.reduce(lower, axis=1), 0),
        upper=upper.min(1),
        above=np.where(known & above, _severity(high), 0).max(1),
        below=np.where(known & below, _severity(-low), 0).max(1),
        score=high.max(1),
        lowest=low.min(1),
        window_above=above.argmax(1),
        window_below=below.argmax(1),
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
        lowest=score,
        window_above=np.zeros(len(n), np.int64),
        window_below=np.zeros(len(n), np.int64),
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
