"""Counts by the clock of a time zone, so that an hour of the week is the same hour for people over both changes of summer time.

A local step is the number of a step plus the zone's offset from UTC in steps. The hour that a change skips is unknown, as a gap
is. The hour that comes twice is one hour of the past: the mean of both passes.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike_parameters import Floats, Ints

_DAY_S = 86_400


def offset(zone: str, step: int, step_s: int = STEP_S) -> int:
    """By how many steps the zone's clock is ahead of UTC when the step begins."""
    ahead = datetime.fromtimestamp(step * step_s, ZoneInfo(zone)).utcoffset()
    return int(ahead.total_seconds() // step_s) if ahead else 0


def offsets(zone: str, first: int, end: int, step_s: int = STEP_S) -> Ints:
    """`offset` of each step from `first` to before `end`."""
    ahead = np.zeros(max(0, end - first), np.int64)
    for begin in range(first, end, _DAY_S // step_s):
        until = min(begin + _DAY_S // step_s, end)
        before, after = offset(zone, begin, step_s), offset(zone, until, step_s)
        changes = before != after  # no zone changes twice within a day
        ahead[begin - first : until - first] = (
            [offset(zone, step, step_s) for step in range(begin, until)] if changes else before
        )  # fmt: skip
    return ahead


def by_local_time(counts: Floats, first: int, zone: str, step_s: int = STEP_S) -> tuple[Floats, int]:
    """These counts, (scopes, steps) from step `first` on, in the order of local time; and their first local step.

    NaN: unknown. Without a change of the clock the result is `counts` itself.
    """
    size = counts.shape[1]
    ahead = offsets(zone, first, first + size, step_s)
    if not size or (ahead == ahead[0]).all():
        return counts, first + (int(ahead[0]) if size else offset(zone, first, step_s))
    local = first + np.arange(size) + ahead
    begin = int(local.min())
    once, again = (np.full(int(local.max()) + 1 - begin, size) for _ in range(2))
    again[local - begin] = np.arange(size)
    once[local[::-1] - begin] = np.arange(size)[::-1]  # of a repeated index the last value stays
    unknown = np.full((len(counts), 1), np.nan, counts.dtype)
    known = np.concatenate([counts, unknown], axis=1)
    result, twice = known[:, once], np.flatnonzero(once != again)
    passes = np.stack([known[:, once[twice]], known[:, again[twice]]])
    seen = np.isfinite(passes)
    sums = np.where(seen, passes, 0).sum(0)
    result[:, twice] = np.where(seen.any(0), sums / np.maximum(seen.sum(0), 1), np.nan)
    return result, begin
