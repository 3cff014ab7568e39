"""A recorded series of counts: read, and replayed as if it happened now, with the detector of control.

`replay_series` judges each step by the steps before it: no verdict depends on later steps. It is quick because `study` takes
the hours of one series as rows, as it takes the scopes of one hour.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.errors import SettingsError
from pipeline.processors.alerts.local_time import by_local_time, offsets
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.spike import Verdict, expect, judge, reach
from pipeline.processors.alerts.spike_parameters import Floats, Ints, Spike
from pipeline.processors.alerts.study import DAYS, Study, study
from schemas.alerts import Scope, alert_key

Direction = Literal["above", "below"]

_HOUR_S = 3_600
_ROWS = 4_096  # steps judged at a time: each has the counts of the longest window
_EVERYTHING = Scope()
_STILL = 0.5
"""An open alert goes on while the score is above this."""


class Series(NamedTuple):
    """Counts in time; the times ascend, and are all aware or all naive (then they are UTC)."""

    times: list[datetime]
    values: Floats


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert. `severity` is its highest; `observed` and `expected` are those of its most unusual step."""

    key: str
    """The same for the same rule, scope and start: 16 hexadecimal digits."""
    started: datetime
    """The step that raised it."""
    ended: datetime | None
    """The last unusual step; None: the alert was still open when the series ended."""
    severity: int
    observed: float
    expected: float
    window_s: int = 0
    """The shortest window that had it when it began; 0: not known."""


class Replayed(NamedTuple):
    """The alerts, and the expected value of each step: arrays as long as the series, NaN where it was unknown."""

    raised: list[Raised]
    expected: Floats
    lower: Floats
    upper: Floats


def read_series(path: Path) -> Series:
    """A CSV of `timestamp,value` with a header. Raises SettingsError, which names the file and the first wrong line."""
    times: list[datetime] = []
    values: list[float] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, time, value in _rows(path, csv.reader(file)):
                if times and _seconds(time) <= _seconds(times[-1]):
                    raise SettingsError(f"{path}, line {line}: {time} is not later than the line before")
                times.append(time)
                values.append(value)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise SettingsError(f"{path} is no CSV") from None
    if len(times) < 2:
        raise SettingsError(f"{path} has {len(times)} values: a series needs two at least")
    return Series(times, np.array(values))


def replay_series(
    times: list[datetime],
    values: Floats,
    spike: Spike,
    direction: Direction = "above",
    rule: str = "spike",
    scope: Scope = _EVERYTHING,
    zone: str = "UTC",
) -> Replayed:
    """The alerts that the series would have raised, by the hours of `zone`. Only the keys depend on `rule` and `scope`.

    Where fewer than `spike.newest` mentions were, or of a drop were expected, no alert begins: in steps of any length as many.
    The step is the median time between two values, and has to divide an hour; a step without a value is unknown, not zero.
    """
    step_s, steps_at = _grid(times)
    counts = np.full(steps_at[-1] + 1, np.nan, np.float32)
    counts[steps_at] = values
    verdict = _verdict(counts, steps_at, int(_seconds(times[0])) // step_s, spike, step_s, zone)
    many = spike.newest * step_s / STEP_S
    verdict = verdict._replace(
        above=np.where(values >= many, verdict.above, 0), below=np.where(verdict.expected >= many, verdict.below, 0)
    )
    raised = list(_alerts(times, values, verdict, spike, direction, (rule, scope)))
    known = verdict.upper > -np.inf
    return Replayed(raised, *(np.where(known, each, np.nan) for each in (verdict.expected, verdict.lower, verdict.upper)))


def mirrored(series: Series) -> Series:
    """Each value mirrored around the mean of its day: spikes become drops, as far down as zero."""
    days = np.array([time.toordinal() for time in series.times])
    _, day = np.unique(days, return_inverse=True)
    mean = np.bincount(day, series.values) / np.bincount(day)
    return Series(series.times, np.maximum(0, 2 * mean[day] - series.values))


def _rows(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[int, datetime, float]]:
    header = next(lines, [])
    if [name.strip().lower() for name in header] != ["timestamp", "value"]:
        raise SettingsError(f"{path}, line 1: the header is timestamp,value, not {','.join(header)!r}")
    aware = None
    for line, row in enumerate(lines, 2):
        if len(row) != 2:
            raise SettingsError(f"{path}, line {line}: {len(row)} fields, not a timestamp and a value")
        try:
            time = datetime.fromisoformat(row[0].strip())
        except ValueError:
            raise SettingsError(f"{path}, line {line}: {row[0]!r} is no timestamp, such as 2026-11-22T10:00:00Z") from None
        if aware is not None and aware is not (time.tzinfo is not None):
            raise SettingsError(f"{path}, line {line}: timestamps with and without a time zone")
        aware = time.tzinfo is not None
        yield line, time, _count(path, line, row[1])


def _count(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{path}, line {line}: {text!r} is no number") from None
    if not 0 <= value < math.inf:
        raise SettingsError(f"{path}, line {line}: {text.strip()} is no count")
    return value


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _grid(times: list[datetime]) -> tuple[int, Ints]:
    """The step in seconds, and the index of each time's step, counted from the first."""
    seconds = np.array([_seconds(time) for time in times])
    step_s = round(float(np.median(np.diff(seconds)))) if len(times) > 1 else _HOUR_S
    if step_s < 1 or _HOUR_S % step_s:
        raise SettingsError(
            f"values {step_s} s apart can't be evaluated: their step has to divide an hour, as 1, 5 and 15 minutes do"
        )
    steps_at = np.rint((seconds - seconds[0]) / step_s).astype(np.int64)
    twice = np.flatnonzero(np.diff(steps_at) == 0)
    if twice.size:
        raise SettingsError(f"two values, {times[twice[0]]} and {times[twice[0] + 1]}, are in the same step of {step_s} s")
    return step_s, steps_at


def _verdict(counts: Floats, steps_at: Ints, first: int, spike: Spike, step_s: int, zone: str) -> Verdict:
    """The verdict on each of these steps (indices), by the counts before it. The first count is that of step `first`."""
    hour = _HOUR_S // step_s
    local, begin = by_local_time(counts[None], first, zone, step_s)
    lead, size = begin % hour, local.shape[1]
    padded = np.full(DAYS * 24 * hour + -(-(lead + size) // hour) * hour, np.nan, np.float32)
    padded[DAYS * 24 * hour + lead :][:size] = local[0]
    hours = study(sliding_window_view(padded, DAYS * 24 * hour)[:-1:hour], spike, step_s)
    ahead = offsets(zone, first, first + len(counts), step_s)
    lags = np.arange(reach(spike, step_s), -1, -1)
    before = np.concatenate([np.full(lags[0], np.nan, np.float32), counts])
    parts = []
    for some in np.array_split(steps_at, -(-len(steps_at) // _ROWS)):
        at, earlier = first + some + ahead[some], some[:, None] - lags
        studied = Study._make(array[(at - begin + lead) // hour] for array in hours)
        clock = first + earlier + ahead[np.maximum(earlier, 0)]
        recent = sliding_window_view(before, lags[0])[some]
        parts.append(judge(expect(studied, recent, at, spike, step_s, clock), counts[some].astype(np.float64), spike))
    return Verdict(*map(np.concatenate, zip(*parts, strict=True)))


def _alerts(
    times: list[datetime], values: Floats, verdict: Verdict, spike: Spike, direction: Direction, of: tuple[str, Scope]
) -> Iterator[Raised]:
    calm = timedelta(seconds=spike.calm_s)
    up = direction == "above"
    severity, window = (verdict.above, verdict.window_above) if up else (verdict.below, verdict.window_below)
    score = verdict.score if up else -verdict.lowest
    steps = np.flatnonzero((severity > 0) | (score > _STILL))

    def raised(episode: list[int], over: bool) -> Raised:
        worst = max(episode, key=lambda step: abs(values[step] - verdict.expected[step]))
        started = times[episode[0]]
        return Raised(
            key=f"{alert_key(*of, int(_seconds(started)) // 60 * 60):016x}",
            started=started,
            ended=times[episode[-1]] if over else None,
            severity=int(severity[episode].max()),
            observed=float(values[worst]),
            expected=float(verdict.expected[worst]),
            window_s=spike.windows_s[window[episode[0]]],
        )

    episode: list[int] = []
    for step in steps.tolist():
        if episode and times[step] - times[episode[-1]] > calm:
            yield raised(episode, over=True)
            episode = []
        if episode or severity[step]:
            episode.append(step)
    if episode:
        yield raised(episode, times[-1] - times[episode[-1]] > calm)
