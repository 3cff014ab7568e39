"""The past of counts: expected rates by hour, how much they vary, and how far out each scope usually goes.

A scope is a row of every matrix here, a window of `windows_s` a column. docs/spikes.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike_parameters import Bools, Floats, Ints, Spike

DAYS = 28
"""Days of the past that `learn` looks at; it ignores older counts."""

HOURS_BACK = 6
"""Of the expected rates: four hours of real time reach five back on a clock that skips one, and one more to interpolate."""

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
    """Expected per step in the HOURS_BACK hours before, this hour, and the hour after: (scopes, HOURS_BACK + 2)."""
    dispersion: Floats
    """Of the windows' counts: (scopes, windows), as the bars."""
    bar_above: Floats
    bar_below: Floats


def study(counts: Floats, spike: Spike, step_s: int = STEP_S) -> Study:
    """The slow part of `learn`, from the counts up to the beginning of the hour; `expect` does the rest."""
    parts = [_study(counts[row : row + _ROWS], spike, step_s) for row in range(0, max(len(counts), 1), _ROWS)]
    return Study(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def per_hour(step_s: int) -> int:
    return max(1, _HOUR_S // step_s)


def window_steps(spike: Spike, step_s: int) -> list[int]:
    """The steps of each window."""
    return [max(1, window_s // step_s) for window_s in spike.windows_s]


def _study(counts: Floats, spike: Spike, step_s: int) -> Study:
    steps = _by_hour(counts, step_s)
    seen = np.isfinite(steps)
    here = seen.sum(2)
    rates = np.where(seen, steps, 0).sum(2) / np.where(here > 0, here, np.nan)
    age = np.where((here > 0).any(1), here.shape[1] - (here > 0).argmax(1), 0)
    fitted, current, used = _expected(rates, age, steps.shape[2])
    now = current[:, HOURS_BACK]
    doubt = np.pi / 2 / (np.maximum(used * steps.shape[2], 1) * np.maximum(np.nan_to_num(now), 0.01))
    dispersions, ratios = [], []
    flat = steps.reshape(len(steps), -1), fitted.reshape(len(steps), -1)
    spans = window_steps(spike, step_s)
    for size, total, mean in zip(spans, *(_sums(values, spans) for values in flat), strict=True):
        dispersions.append(_dispersion(total[:, size - 1 :: size], mean[:, size - 1 :: size]) + doubt)
        ratios.append(_ratios(total, mean, spike, _BLOCK_HOURS * steps.shape[2]))
    above = _bars(np.stack([highest for highest, _ in ratios], axis=1), spike)
    below = _bars(np.stack([lowest for _, lowest in ratios], axis=1), spike)
    return Study((age > 0) & np.isfinite(now), current, np.stack(dispersions, axis=1), above, below)


def _by_hour(counts: Floats, step_s: int) -> Floats:
    """The newest whole days, (scopes, hours, steps of an hour); the missing part of the first day is unknown."""
    size = per_hour(step_s)
    counts = counts[:, -DAYS * 24 * size :]
    days = max(1, -(-counts.shape[1] // (24 * size)))
    padded = np.full((len(counts), days * 24 * size), np.nan, np.float32)
    padded[:, padded.shape[1] - counts.shape[1] :] = counts
    return padded.reshape(len(counts), -1, size)


def _expected(rates: Floats, age: Ints, size: int) -> tuple[Floats, Floats, Floats]:
    """The expected counts of each step of the past, (scopes, hours, steps of an hour); those per step of the last hours, this
    and the next one; and the number of hours in the median. `rates`: the mean count per step in each past hour."""
    scopes, hours = rates.shape
    recent = np.full((scopes, hours + 1), np.nan)
    padded = np.pad(rates, ((0, 0), (_RECENT_HOURS - 1, 0)), constant_values=np.nan)
    recent[:, 1:] = _median(sliding_window_view(padded, _RECENT_HOURS, axis=1))
    fitted = np.repeat(recent[:, :-1, None], size, axis=2).astype(np.float32)
    newest = np.arange(hours - HOURS_BACK, hours + 2)
    current = recent[:, np.minimum(newest, hours)]
    current = np.where(np.isnan(current), recent[:, -1:], current)
    used = np.full(scopes, float(_RECENT_HOURS))
    for since, season in ((_DAYS_KNOWN, _of_the_day), (_WEEKS_KNOWN, _of_the_week)):
        rows = np.flatnonzero(age >= since)
        if rows.size:
            profile, used[rows] = season(rates[rows])
            around = profile[:, np.arange(-1, hours + 2) % profile.shape[1]]
            fitted[rows] = _between(around, size)[:, :-1]
            seasonal = profile[:, newest % profile.shape[1]]
            current[rows] = np.where(np.isnan(seasonal), current[rows], seasonal)
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


def _sums(values: Floats, sizes: Sequence[int]) -> Iterator[Floats]:
    """The sum of so many steps that ends with each step, for each size, in ascending order; NaN where a step is unknown."""
    last, of = values, 1
    for size in sizes:
        part, by = (last, of) if size % of == 0 else (values, 1)
        last, of = part.copy(), size
        for back in range(by, size, by):
            last[:, back:] += part[:, :-back]
        last[:, : size - 1] = np.nan
        yield last


def _dispersion(totals: Floats, means: Floats) -> Floats:
    """The variance of counts in excess of a Poisson distribution's, over the mean squared."""
    variance = means + 0.5
    deviation = np.minimum((totals - means) ** 2 / variance, _CAP)
    known = np.isfinite(deviation)
    number = np.maximum(known.sum(1), 1)
    mean = np.maximum(np.where(known, means, 0).sum(1) / number, 0.01)
    excess = np.where(known, deviation, 0).sum(1) / number * (mean + 0.5) - mean
    return np.asarray(np.maximum(excess, 0) / mean**2, np.float64)


def _ratios(totals: Floats, means: Floats, spike: Spike, block: int) -> tuple[Floats, Floats]:
    """The highest log ratio in each block of so many steps, and the lowest with its sign changed."""
    soften = np.float32(spike.soften)
    blocks = ((totals + soften) / (means + soften)).reshape(len(totals), -1, block)
    return np.log(np.fmax.reduce(blocks, axis=2)), -np.log(np.fmin.reduce(blocks, axis=2))


def _bars(blocks: Floats, spike: Spike) -> Floats:
    """The log ratios to pass, (scopes, windows), from the blocks' extremes, (scopes, windows, blocks).

    Each window's bar comes from its own blocks. More windows would be more false alerts: the same quantile of the highest of
    all windows, in units of their bars, raises all of them.
    """
    missing = _DAY_BLOCKS - np.isfinite(blocks).sum(2, keepdims=True)
    filled = np.where(np.arange(_DAY_BLOCKS) < missing, np.log(spike.prior), np.nan)  # blocks that the first day still lacks
    blocks = np.concatenate([blocks, filled], axis=2)
    bars = np.maximum(np.log(spike.least), spike.factor * _quantile(blocks, spike.quantile))
    together = _quantile(np.fmax.reduce(blocks / bars[..., None], axis=1), spike.quantile)
    return np.asarray(bars * np.maximum(1, spike.factor * together)[:, None])


def _quantile(values: Floats, quantile: float) -> Floats:
    """Along the last axis, of the known values: one at least."""
    values = np.sort(values, axis=-1)
    position = quantile * (np.isfinite(values).sum(-1, keepdims=True) - 1)
    below = position.astype(np.int64)
    low = np.take_along_axis(values, below, -1)
    high = np.take_along_axis(values, np.minimum(below + 1, values.shape[-1] - 1), -1)
    return np.asarray(np.where(position > below, low + (position - below) * (high - low), low)[..., 0])


def _median(values: Floats) -> Floats:
    """The median along the last axis, of known values; NaN where none is known."""
    values = np.sort(values, axis=-1)
    number = np.isfinite(values).sum(-1, keepdims=True)
    low = np.take_along_axis(values, np.maximum(number - 1, 0) // 2, -1)
    high = np.take_along_axis(values, np.minimum(number // 2, values.shape[-1] - 1), -1)
    return np.asarray(((low + high) / 2)[..., 0])
