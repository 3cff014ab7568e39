"""The throttle of the background, and its two users: campaigns and late windows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from pipeline.control import background
from pipeline.control.background import Background, Campaigns, LateWindows, query_of
from pipeline.control.notifier import Notifier
from pipeline.errors import EarshotError
from pipeline.fence import GivenUp
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert
from tests.support.control_parts import leader_of, no_ask

AT = datetime(2026, 9, 1, tzinfo=UTC)


class Time:
    """A clock that work moves on, and the rests that were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    async def sleep(self, seconds: float) -> None:
        self.log.append(f"rest {seconds:.2f}")
        await asyncio.sleep(0)

    def work(self, seconds: float, result: Any = "done") -> Any:
        self.now += seconds
        self.log.append(f"work {seconds:g}")
        return result

    def throttle(self, share: float) -> Background:
        return Background(share, no_ask, lambda: self.now, self.sleep)


async def test_work_takes_its_share_of_the_time() -> None:
    time = Time()
    throttle = time.throttle(0.1)
    assert await throttle.run(lambda: time.work(2)) == "done"
    await throttle.rest()
    await throttle.rest()
    assert time.log == ["work 2", "rest 18.00", "rest 0.00"]


async def test_work_that_fails_has_to_be_followed_by_a_rest_too() -> None:
    time = Time()
    throttle = time.throttle(0.05)

    def fail() -> None:
        time.work(1)
        raise EarshotError("ClickHouse is away")

    with pytest.raises(EarshotError):
        await throttle.run(fail)
    await throttle.run(lambda: time.work(1))
    await throttle.rest()
    assert time.log[-1] == "rest 38.00"


async def test_long_work_rests_between_its_steps_and_for_the_remainder_at_its_end() -> None:
    time = Time()
    throttle = time.throttle(0.1)

    def steps() -> Iterator[float]:
        for step in range(1, 4):
            time.work(0.4)
            yield step / 3
        time.work(0.4)  # explanations

    await throttle.run_steps(steps())
    await throttle.rest()
    assert time.log == [*("work 0.4", "rest 0.90") * 3, "work 0.4", "rest 11.70"]
    assert pytest.approx(0.1) == 1.6 / (1.6 + 3 * 0.9 + 11.7)


async def test_no_search_asks_once_this_process_leads_no_more() -> None:
    asked: list[Mapping[str, object]] = []

    def ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        asked.append(settings)
        return pl.DataFrame()

    leader = leader_of()
    query = query_of(leader, ask, max_execution_time=5)
    with pytest.raises(GivenUp):
        query("SELECT 1", {})
    with leader.serving(leader.lease.generation):
        query("SELECT 1", {"max_rows_to_read": 3})
        assert asked == [{"max_threads": 1, "max_execution_time": 5, "max_rows_to_read": 3}]
        leader.lease.stop()
        with pytest.raises(GivenUp):
            query("SELECT 1", {})
    assert len(asked) == 1


class Recorder:
    """Stands for the notifier."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def publish(self, alerts: Sequence[Alert]) -> None:
        self._log.append(f"publish {alerts}")

    def record(self, alerts: Sequence[Alert]) -> None:
        self._log.append(f"record {alerts}")


async def test_campaigns_of_a_brand_are_published_before_the_rest_for_its_search(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    monkeypatch.setattr(background, "due_searches", lambda query, due: time.work(0, [("rule", "Acme"), ("rule", "Other")]))
    monkeypatch.setattr(background, "search", lambda query, rule, brand, at: time.work(1, [brand]))
    evaluator = SimpleNamespace(campaigns_due=lambda: "due", watermark=AT, raise_campaigns=lambda alerts, now: alerts)
    campaigns = Campaigns(
        leader_of(), cast(Evaluator, evaluator), cast(Notifier, Recorder(time.log)), time.throttle(0.05)
    )  # fmt: skip
    await campaigns.search()
    searched = [["work 1", f"publish ['{brand}']", "rest 19.00"] for brand in ("Acme", "Other")]
    assert time.log == ["work 0", *searched[0], *searched[1]]


async def test_late_windows_are_recorded_before_the_rest_and_nobody_is_notified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time()

    class Script:
        def __init__(self, query: object, config: Alerts, first: datetime, last: datetime) -> None:
            assert [rule.type for rule in config.rules] == ["threshold"] and last - first == timedelta(hours=1)
            self.alerts = ["old"]

        def steps(self) -> Iterator[float]:
            yield time.work(1, 0.5)

    rules = [{"name": "many", "type": "threshold", "measure": "count", "above": 1}]
    rules.append({"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}})
    monkeypatch.setattr(background, "Backtest", Script)
    evaluator = SimpleNamespace(
        config=Alerts.model_validate({"rules": rules}),
        late_span=lambda now: (AT, AT + timedelta(hours=1)),
        record=lambda alerts, now: alerts,
    )
    late = LateWindows(leader_of(), cast(Evaluator, evaluator), cast(Notifier, Recorder(time.log)), time.throttle(0.1))
    await late.evaluate()
    assert time.log == ["work 1", "rest 2.25", "record ['old']", "rest 6.75"]
    evaluator.late_span = lambda now: None
    await late.evaluate()
    assert len(time.log) == 4


@pytest.mark.parametrize("error", [EarshotError("ClickHouse is away"), GivenUp()])
async def test_an_error_of_clickhouse_costs_one_round_and_a_fault_of_ours_ends_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [error, error, ZeroDivisionError()]

    def due() -> None:
        raise errors.pop(0)

    monkeypatch.setattr(background, "CAMPAIGN_EVERY_S", 0.0)
    evaluator = cast(Evaluator, SimpleNamespace(campaigns_due=due))
    campaigns = Campaigns(leader_of(), evaluator, cast(Notifier, Recorder([])), Time().throttle(0.1))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(campaigns.run(), 5)
    assert not errors and caplog.text.count("no search for campaigns") == 2
