"""Labelled windows: the incidents that alerts should have detected, and the score of the alerts.

Alerts chain: one that begins within an hour of the one before belongs to the same episode, and an episode counts by its first
alert: inside a window it detects that window, outside every window it is one false alert. (The scoring of the Numenta Anomaly
Benchmark's windows without its weights.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from pipeline.errors import SettingsError

CHAIN = timedelta(hours=1)
LEARNING, LEARNING_MOST = 0.15, 750
"""The first part of a series is not scored: this share of it, and so many values at most."""
Window = tuple[datetime, datetime]


class Score(NamedTuple):
    detected: int
    windows: int
    false_a_day: float
    delay: timedelta | None
    """Median from the beginning of a detected window to its first alert."""


def read_windows(path: Path, series: str) -> list[Window]:
    """The windows of `series` in a JSON file: `{"series.csv": [[start, end], ...]}`, or the list alone.

    Raises SettingsError for anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        listed = value[series] if isinstance(value, dict) else value
        windows = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in listed]
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except KeyError:
        raise SettingsError(f"{path}: there are no windows of {series}; there are {', '.join(value)}") from None
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    for start, end in windows:
        if _instant(end) < _instant(start):
            raise SettingsError(f"{path}: a window ends at {end} before it starts at {start}")
    return windows


def score(started: Sequence[datetime], windows: Sequence[Window], times: Sequence[datetime]) -> Score:
    """The score of alerts that began at `started`; `times` are those of the series, ascending."""
    begin = times[min(int(len(times) * LEARNING), LEARNING_MOST)]
    episodes: list[datetime] = []
    last: datetime | None = None
    for start in sorted(start for start in started if start >= begin):
        if last is None or start - last > CHAIN:
            episodes.append(start)
        last = start
    hits = [[episode for episode in episodes if start <= episode <= end] for start, end in windows]
    delays = [min(hit) - window[0] for hit, window in zip(hits, windows, strict=True) if hit]
    false = sum(not any(start <= episode <= end for start, end in windows) for episode in episodes)
    days = (times[-1] - begin) / timedelta(days=1)
    delay = timedelta(seconds=median(delay.total_seconds() for delay in delays)) if delays else None
    return Score(len(delays), len(windows), false / days if days else 0.0, delay)


def _instant(time: datetime) -> float:
    return time.timestamp()
