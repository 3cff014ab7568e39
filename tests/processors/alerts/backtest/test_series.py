"""Series: what is read and what is refused; walked through, nothing is known before it happens."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import SettingsError
from pipeline.processors.alerts.backtest.series import Series, mirrored, read_series, replay_series
from pipeline.processors.alerts.spike import judge, learn
from pipeline.processors.alerts.spike_parameters import DROP, Spike
from schemas.alerts import Scope

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 7, 20, tzinfo=UTC)


def series(days: float = 10, step: timedelta = timedelta(minutes=5), per_hour: float = 240, seed: int = 1) -> Series:
    number = int(timedelta(days=days) / step)
    values = np.random.default_rng(seed).poisson(per_hour * (step / timedelta(hours=1)), number).astype(float)
    return Series([START + step * place for place in range(number)], values)


def burst(of: Series, day: float, ratio: float, hours: float = 1) -> datetime:
    """Makes a burst in the series and returns when it begins."""
    begin = START + timedelta(days=day)
    for place, time in enumerate(of.times):
        if begin <= time < begin + timedelta(hours=hours):
            of.values[place] *= ratio
    return begin


@pytest.mark.parametrize("minutes", [1, 5, 15, 60])
def test_a_burst_is_raised_once_whatever_the_step(minutes: int) -> None:
    given = series(step=timedelta(minutes=minutes))
    begin = burst(given, 6, 12, hours=3)
    (alert,) = replay_series(*given, Spike()).raised
    assert begin <= alert.started <= begin + timedelta(minutes=max(10, minutes))
    assert alert.ended
    assert alert.ended - begin < timedelta(hours=5)
    assert 1 <= alert.severity <= 10
    assert alert.observed > 8 * alert.expected


def test_a_drop_is_raised_downwards_only() -> None:
    given = series()
    begin = burst(given, 6, 0, hours=5)
    (alert,) = replay_series(*given, DROP, "below").raised
    assert begin <= alert.started <= begin + timedelta(hours=1)
    assert alert.observed == 0
    assert not replay_series(*given, Spike()).raised


def test_the_key_is_that_of_the_rule_the_scope_and_the_start() -> None:
    given = series()
    burst(given, 6, 12)
    (alert,) = replay_series(*given, Spike()).raised
    assert replay_series(*given, Spike()).raised == [alert]
    assert len(alert.key) == 16
    keys = {
        replay_series(*given, Spike(), rule=rule, scope=scope).raised[0].key
        for rule in "ab"
        for scope in (Scope("a"), Scope("b"))
    }
    assert len(keys) == 4
    later = series(seed=2)
    burst(later, 7, 12)
    assert replay_series(*later, Spike()).raised[0].key != alert.key


def test_an_alert_that_is_not_over_has_no_end() -> None:
    given = series(days=6.02)
    burst(given, 6, 12)
    (alert,) = replay_series(*given, Spike()).raised
    assert alert.ended is None


def test_what_comes_later_changes_nothing() -> None:
    given = series(days=4)
    burst(given, 3, 12)
    whole = replay_series(*given, Spike())
    for cut in (500, 700, 870, 900, 1000):
        part = replay_series(given.times[:cut], given.values[:cut], Spike())
        np.testing.assert_array_equal(part.upper, whole.upper[:cut])
        np.testing.assert_array_equal(part.expected, whole.expected[:cut])
        assert [alert.key for alert in part.raised] == [a.key for a in whole.raised if a.started <= given.times[cut - 1]]


def test_it_says_what_learn_and_judge_say() -> None:
    given = series(days=4)
    burst(given, 3, 12)
    walked = replay_series(*given, Spike())
    first = int(START.timestamp()) // 300
    for place in (20, 300, 650, 866, 1_100):
        baseline = learn(given.values[None, :place].astype(np.float32), first + place, Spike())
        verdict = judge(baseline, given.values[place : place + 1], Spike())
        assert verdict.expected[0] == pytest.approx(walked.expected[place], rel=1e-5)
        assert verdict.upper[0] == pytest.approx(walked.upper[place], rel=1e-5)


def test_a_gap_is_unknown() -> None:
    given = series()
    keep = [place for place, time in enumerate(given.times) if not 5 < (time - START).days + 0.5 < 6 and place % 7]
    assert not replay_series([given.times[place] for place in keep], given.values[keep], Spike()).raised
    assert not replay_series([given.times[place] for place in keep], given.values[keep], DROP, "below").raised


def test_mirrored_is_as_far_from_the_mean_of_the_day() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    times = [start + timedelta(hours=hour) for hour in (0, 1, 2, 24, 25)]
    assert mirrored(Series(times, np.array([1.0, 2.0, 9.0, 10.0, 20.0]))).values.tolist() == [7, 6, 0, 20, 10]


def write(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def test_a_series_is_read(tmp_path: Path) -> None:
    read = read_series(write(tmp_path, "timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:05:00,2.5\n"))
    assert read.times == [datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 5)]
    assert read.values.tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the header"),
        ("time,count\n", "line 1: the header"),
        ("timestamp,value\n", "has 0 values"),
        ("timestamp,value\n2026-01-01,1\n", "has 1 values"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02,x\n", "line 3: 'x' is no number"),
        ("timestamp,value\n2026-01-01,nan\n", "line 2: nan is no count"),
        ("timestamp,value\n2026-01-01,-1\n", "line 2: -1 is no count"),
        ("timestamp,value\nyesterday,1\n", "line 2: 'yesterday' is no timestamp"),
        ("timestamp,value\n2026-01-02,1\n2026-01-01,1\n", "line 3: 2026-01-01 00:00:00 is not later"),
        ("timestamp,value\n2026-01-01,1\n2026-01-01,1\n", "line 3: 2026-01-01 00:00:00 is not later"),
        ("timestamp,value\n2026-01-01,1,2\n", "line 2: 3 fields"),
        ("timestamp,value\n2026-01-01,1\n2026-01-02T00:00:00Z,1\n", "line 3: timestamps with and without"),
    ],
)
def test_what_is_no_series_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        read_series(write(tmp_path, text))
    assert "series.csv" in str(error.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_series(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SettingsError, match="no CSV"):
        read_series(tmp_path / "binary.csv")


def test_steps_that_divide_no_hour_are_refused() -> None:
    with pytest.raises(SettingsError, match="420 s apart"):
        replay_series(*series(step=timedelta(minutes=7)), Spike())
    with pytest.raises(SettingsError, match="86400 s apart"):
        replay_series(*series(step=timedelta(days=1)), Spike())


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    from pipeline.processors.alerts.backtest.plot import draw  # matplotlib takes half a second to import

    given = series(days=5)
    begin = burst(given, 3, 12)
    walked = replay_series(*given, Spike())
    windows = [(begin, begin + timedelta(hours=3)), (START, START + timedelta(hours=2))]
    for place, labelled in enumerate((windows, [])):
        picture = draw(tmp_path / "plots" / f"{place}.png", given, walked, labelled, "a series")
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_recorded_series_with_labels(recorded: Path) -> None:
    """One parameter set for all: at least 15 of the 16 windows, at most 0.07 false alerts per series and day in the mean."""
    folder = recorded / "spikes"
    if not folder.is_dir():
        pytest.skip(f"no recorded series at {folder} (EARSHOT_DATA)")
    spec = importlib.util.spec_from_file_location("score", folder / "score.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Any = module.score
    scores = []
    for name, labels in json.loads((folder / "windows.json").read_text()).items():
        given = read_series(folder / name)
        started = [alert.started for alert in replay_series(*given, Spike()).raised]
        windows = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in labels]
        scores.append(score(started, windows, given.times))
    assert sum(found for found, _, _ in scores) >= sum(windows for _, windows, _ in scores) - 1
    assert np.mean([false for _, _, false in scores]) <= 0.07
