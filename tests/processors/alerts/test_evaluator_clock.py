"""The evaluator's clock: minutes end after their grace, whoever judged before; sources after an outage; clocks that differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.no_data import LastArrivals
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.touched import Sweep
from pipeline.processors.alerts.windows import Windows
from tests.processors.alerts.test_campaign_queue import FIRST, after
from tests.support.control_parts import MemoryStore

LITTLE = {"name": "r", "type": "threshold", "measure": "count", "below": 8, "window": "1m", "brands": ["Acme"]}


@pytest.mark.parametrize("other", ["nothing", "reload", "take-over"])
def test_no_minute_is_judged_as_ended_within_ten_seconds_of_its_end(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    judged: list[tuple[int, float]] = []

    def verdicts(self: Evaluator, minute: int, over: bool, *_: object) -> list[Any]:
        if over:
            judged.append((minute, (self.watermark - after(0)).total_seconds() - (minute - FIRST + 1) * 60))
        return []

    for name in ("learn", "read"):
        monkeypatch.setattr(Windows, name, lambda *_: None)
    monkeypatch.setattr(Evaluator, "_verdicts", verdicts)
    rules = Alerts.model_validate({"rules": [LITTLE]})
    evaluator = Evaluator(MemoryStore([]), rules)
    evaluator.start(after(-120), 0)
    for second in range(-120, 2):
        evaluator.tick(after(second))
    judged.clear()
    if other == "reload":
        evaluator.use(rules)
    if other == "take-over":
        monkeypatch.setattr(MemoryStore, "watermark", lambda _: after(1))
        evaluator.start(after(2), 1)
    for second in range(2, 15):
        evaluator.tick(after(second))
    assert {minute for minute, _ in judged} >= {FIRST - 1}
    assert min(since for _, since in judged) >= 10


# --- sources ----------------------------------------------------------------------------------------------------------
HOUR, EPOCH = 3_600, datetime.fromtimestamp(0, UTC)
QUIET = {"name": "quiet", "type": "no_data", "of": "platform", "after": "1h"}


class Arrivals(MemoryStore):
    """A store that answers when something last came."""

    def __init__(self, **came: float) -> None:
        super().__init__([])
        self.came = {name: [after(at)] for name, at in came.items()}

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        since, now = (
            datetime.fromisoformat(sql.partition(f"{before} '")[2][:19] + "Z")
            for before in ("WHERE ingested_at >=", "ingested_at <=")
        )
        rows = [
            (name, max((at for at in times if at <= now), default=EPOCH), len(times), max(times))
            for name, times in self.came.items()
            if max(times) >= since
        ]
        time = pl.Datetime("ms", "UTC")
        return pl.DataFrame(rows, {"name": pl.String, "last": time, "events": pl.UInt64, "newest": time}, orient="row")


def started(store: MemoryStore, at: float, **keys: Any) -> Evaluator:
    urls = [{"name": name, "type": "webhook", "url": "https://a.example"} for name in "ab"]
    evaluator = Evaluator(store, Alerts.model_validate({"receivers": urls, "rules": [{**QUIET, "receivers": ["a"], **keys}]}))
    evaluator.start(after(at), 0)
    return evaluator


def test_after_an_outage_of_the_whole_stack_the_workers_have_a_moment_to_start() -> None:
    store = Arrivals(x=-2 * HOUR, y=-2 * HOUR)
    evaluator = started(store, 0)
    assert [alert for second in range(50) for alert in evaluator.tick(after(second))] == []
    store.came["x"] += [after(50)]
    fired = [alert for second in range(50, 70) for alert in evaluator.tick(after(second))]
    assert [(alert.scope.platform, str(alert.state)) for alert in fired] == [("y", "firing")]


def test_a_source_that_fell_silent_while_only_control_was_away_is_missed_at_once() -> None:
    (fired,) = started(Arrivals(x=-HOUR, y=-20), 0).tick(after(0))
    assert (fired.scope.platform, fired.since) == ("x", after(-HOUR))


def test_an_open_alert_about_a_source_that_sends_again_ends_at_once() -> None:
    store = Arrivals(x=-2 * HOUR, y=0)
    (fired,) = started(store, 0).tick(after(0))
    store.alerts, store.came = [fired], {"x": [after(2 * HOUR)], "y": [after(0)]}
    (over,) = started(store, 5 * HOUR / 2).tick(after(5 * HOUR / 2))
    assert (over.key, str(over.state)) == (fired.key, "resolved")


@pytest.mark.parametrize("ahead", [-600, 0, 600])
def test_a_clock_that_is_ten_minutes_off_misses_no_source_that_sends(ahead: int) -> None:
    store = Arrivals(x=-1)
    evaluator = started(store, ahead)
    for second in range(0, 2 * HOUR, 20):
        store.came["x"] = [after(second)]
        assert evaluator.tick(after(second + ahead)) == []


# --- a clock that is set back -----------------------------------------------------------------------------------------
def test_a_clock_that_is_set_back_does_not_delay_an_escalation() -> None:
    evaluator = started(Arrivals(x=-3 * HOUR), HOUR, escalate={"after": "15m", "to": ["b"]})
    changes = [alert for second in range(70) for alert in evaluator.tick(after(HOUR + second))]
    assert [str(alert.state) for alert in changes if alert.version == 1] == ["firing"]
    changes = [alert for second in range(70, 17 * 60, 5) for alert in evaluator.tick(after(second))]  # an hour back
    assert [alert.escalated_at for alert in changes if alert.escalated_at == alert.changed_at] == [after(70 + 15 * 60)]


def test_a_clock_that_is_set_back_does_not_stop_the_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Arrivals(x=0)
    evaluator = started(store, HOUR)
    evaluator.tick(after(HOUR))
    store.came["x"] = [after(-HOUR)]
    asked: list[int] = []
    monkeypatch.setattr(LastArrivals, "read", lambda *_: asked.append(1))
    for second in range(0, 130):
        evaluator.tick(after(second))
    assert len(asked) == 2
    sweep = Sweep(after(HOUR))
    assert [second for second in range(200) if {FIRST, FIRST - 1} <= {*sweep.take(FIRST, 1000, after(second))}] == [
        60,
        120,
        180,
    ]
