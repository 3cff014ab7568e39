"""The past of counts: expected rates by hour, how much they vary, and how far out each scope usually goes.

A scope is a row of every matrix here. docs/spikes.md has the formulas.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike_parameters import Bools, Floats, Ints, Spike

DAYS = 28
"""Days of the past that `learn` looks at; it ignores older counts."""

_HOUR_S = 3_600
_BLOCK_HOURS = 3
_DAY_BLOCKS = 24 // _BLOCK_HOURS
_WEEKS_KNOWN = 21 * 24
_DAYS_KNOWN = 2 * 24
_DAYS_USED = 14
_RECENT_HOURS = 3
_ROWS = 64  # scopes studied at a time: their intermediate arrays fit the processor's cache
_CAP = 4.0  # of a squared deviation over its expected variance: past spikes must not teach the dispersion


class Study(NamedTuple):
    """The slow part of a baseline: it looks at whole hours only, so it holds until the hour ends."""

    known: Bools
    """Whether there is an hour of history: without one there is no verdict."""
    rates: Floats
    """Expected per step in the hour before, this hour, and the hour after: (scopes, 3)."""
    dispersion: Floats
    bar_above: Floats
    bar_below: Floats


def study(counts: Floats, spike: Spike, step_s: int = STEP_S) -> Study:
    """The slow part of `learn`, from the counts up to the beginning of the hour; `expect` does the rest."""
    parts = [_study(counts[row : row + _ROWS], spike, step_s) for row in range(0, max(len(counts), 1), _ROWS)]
    return Study(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def per_hour(step_s: int) -> int:
    return max(1, _HOUR_S // step_s)


def window_steps(spike: Spike, step_s: int) -> int:
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
    """The newest whole days, (scopes, hours, steps of an hour); the missing part of the first day is unknown."""
    size = per_hour(step_s)
    counts = counts[:, -DAYS * 24 * size :]
    days = max(1, -(-counts.shape[1] // (24 * size)))
    padded = np.full((len(counts), days * 24 * size), np.nan, np.float32)
    padded[:, padded.shape[1] - counts.shape[1] :] = counts
    return padded.reshape(len(counts), -1, size)


def _expected(rates: Floats, age: Ints, size: int) -> tuple[Floats, Floats, Floats]:
    """The expected counts of each step of the past, (scopes, hours, steps of an hour); those per step of the hour before this,
    this and the next one; and the number of hours in the median. `rates`: the mean count per step in each past hour."""
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
    """The median of each hour of the day, the first hour of `rates` first, and the number of days in it."""
    days = rates.reshape(len(rates), -1, 24)[:, -_DAYS_USED:]
    return _median(days.swapaxes(1, 2)), np.isfinite(days).any(2).sum(1).astype(float)


def _of_the_week(rates: Floats) -> tuple[Floats, Floats]:
    """The mean of two medians: of each hour of the week with the hours beside it, and of the hour of the day. Three or four
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
    """The rates of steps, interpolated from those of hours (at their middles), of all but the first and the last hour."""
    within = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    hours = hours.astype(np.float32)
    before, now, after = (hours[:, start : hours.shape[1] - 2 + start, None] for start in range(3))
    return now + np.maximum(within, 0) * (after - now) + np.maximum(-within, 0) * (before - now)


def _dispersion(steps: Floats, fitted: Floats, rate: Floats, used: Floats) -> Floats:
    """The variance in excess of a Poisson distribution's, over the mean squared, plus the uncertainty of the mean."""
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
    size = window_steps(spike, step_s)
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
    """The quantile of the known blocks; `prior` stands for the blocks that the first day still lacks."""
    missing = _DAY_BLOCKS - np.isfinite(blocks).sum(1, keepdims=True)
    filled = np.where(np.arange(_DAY_BLOCKS) < missing, np.log(spike.prior), np.nan)
    values = np.sort(np.hstack([blocks, filled]), axis=1)
    position = spike.quantile * (np.isfinite(values).sum(1) - 1)
    below = position.astype(np.int64)
    rows = np.arange(len(values))
    low, high = values[rows, below], values[rows, np.minimum(below + 1, values.shape[1] - 1)]
    return np.asarray(np.where(position > below, low + (position - below) * (high - low), low))


def _median(values: Floats) -> Floats:
    """The median along the last axis, of known values; NaN where none is known."""
    values = np.sort(values, axis=-1)
    number = np.isfinite(values).sum(-1, keepdims=True)
    low = np.take_along_axis(values, np.maximum(number - 1, 0) // 2, -1)
    high = np.take_along_axis(values, np.minimum(number // 2, values.shape[-1] - 1), -1)
    return np.asarray(((low + high) / 2)[..., 0])
