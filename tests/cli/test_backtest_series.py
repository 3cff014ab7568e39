"""`earshot alerts backtest --series`: a rule on a series of counts, as control would apply it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Run

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1)


def series(per_step: float = 6, hours: float = 4, ratio: float = 2.5) -> str:
    """Ten days in steps of five minutes, of which the seventh has some hours with so many times as many."""
    values = np.random.default_rng(3).poisson(per_step, 2_880).astype(float)
    begin = 6 * 288 + 100
    values[begin : begin + int(hours * 12)] = np.round(per_step * ratio)
    return "timestamp,value\n" + "".join(
        f"{START + place * timedelta(minutes=5)},{value:.0f}\n" for place, value in enumerate(values)
    )


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alerts.yaml").write_text("""
rules:
  - {name: volume, type: spike, min_mentions: 1}
  - {name: loud, type: spike, min_mentions: 40}
  - {name: lasting, type: spike, persistence: 30m}
""")
    monkeypatch.setenv("EARSHOT_ALERTS", str(tmp_path / "alerts.yaml"))


@pytest.mark.usefixtures("rules")
def test_a_rule_asks_a_series_for_its_least_mentions(run: Run) -> None:
    Path("counts.csv").write_text(series(ratio=5))
    found = {
        name: len(json.loads(run("alerts", "backtest", "--series", "counts.csv", "--rule", name, "--json").out)["alerts"])
        for name in ("volume", "loud")
    }
    assert found == {"volume": 1, "loud": 0}


@pytest.mark.usefixtures("rules")
def test_an_alert_of_a_series_names_the_window_that_raised_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for ratio, window, seconds in ((1.7, "4 h", 14_400), (8, "15 minutes", 900)):
        Path("counts.csv").write_text(series(per_step=100, ratio=ratio))
        given = ("alerts", "backtest", "--series", "counts.csv", "--rule", "volume")
        (alert,) = json.loads(run(*given, "--json").out)["alerts"]
        assert alert["window_s"] == seconds
        assert window in run(*given).out


@pytest.mark.usefixtures("rules")
def test_a_key_without_effect_on_a_series_is_named(run: Run) -> None:
    Path("counts.csv").write_text(series(ratio=5))
    given = ("alerts", "backtest", "--series", "counts.csv", "--rule")
    assert "persistence" in run(*given, "lasting").err and "persistence" not in run(*given, "volume").err
