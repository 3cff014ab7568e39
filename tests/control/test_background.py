"""The throttle of the background, and its two users: campaigns and late windows."""

from __future__ import annotations

import asyncio
import threading
import time as real
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from pipeline.clickhouse.query import Ask
from pipeline.control import background
from pipeline.control.background import Background, Campaigns, LateWindows, query_of
from pipeline.control.notifier import Notifier
from pipeline.errors import EarshotError
from pipeline.fence import GivenUp
from pipeline.monitoring import metrics
from pipeline.processors.alerts.campaign_search import CampaignFinder
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
        return Background(share, lambda: self.now, self.sleep)

    def wait(self, seconds: float) -> bool:
        """Stands for threading.Event.wait: a rest on the thread."""
        self.now += seconds
        self.log.append(f"query rests {seconds:.2f}")
        return False


async def test_work_takes_its_share_of_the_time() -> None:
    time = Time()
    throttle = time.throttle(0.1)
    assert await throttle.run(lambda: time.work(2)) == "done"
    await throttle.rest()
    await throttle.rest()
    assert time.log == ["work 2", "rest 18.00", "rest 0.00"]


async def test_a_rest_has_an_upper_limit_and_the_remainder_is_forgotten() -> None:
    time = Time()
    throttle = time.throttle(0.05)
    await throttle.run(lambda: time.work(60))
    await throttle.rest()
    await throttle.run(lambda: time.work(1))
    await throttle.rest()
    assert time.log == ["work 60", "rest 300.00", "work 1", "rest 19.00"]


async def test_work_that_fails_owes_its_own_rest_and_no_other() -> None:
    time = Time()
    throttle = time.throttle(0.05)

    def fail() -> None:
        time.work(1)
        raise EarshotError("ClickHouse is away")

    await throttle.run(lambda: time.work(7))
    with pytest.raises(EarshotError):
        await throttle.run(fail)
    await throttle.rest()
    await throttle.run(lambda: time.work(1))
    await throttle.rest()
    assert time.log == ["work 7", "work 1", "rest 19.00", "work 1", "rest 19.00"]


async def test_long_work_rests_after_each_step_and_after_each_query() -> None:
    time = Time()
    throttle = time.throttle(0.1)
    query = throttle.pace(lambda sql, settings: time.work(float(sql), pl.DataFrame()), cast(threading.Event, time))

    def steps() -> Iterator[float]:
        query("0.1", {})
        time.work(0.4)
        yield 0.5
        query("50", {})
        time.work(100)
        yield 1.0
        query("0.1", {})  # explanations

    await throttle.run_steps(steps(), query)
    await throttle.rest()
    assert time.log == [
        *("work 0.1", "query rests 0.90", "work 0.4", "rest 3.60"),
        *("work 50", "query rests 450.00", "work 100", "rest 900.00"),
        *("work 0.1", "query rests 0.90", "rest 0.00"),
    ]
    assert pytest.approx(0.1) == 150.6 / (150.6 + 0.9 + 3.6 + 450 + 900 + 0.9)


async def test_no_search_asks_once_this_process_leads_no_more() -> None:
    asked: list[Mapping[str, object]] = []

    def ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        asked.append(settings)
        return pl.DataFrame()

    leader = leader_of()
    with pytest.raises(GivenUp):
        query_of(leader, ask)("SELECT 1", {})
    with leader.serving(leader.lease.generation):
        query = query_of(leader, ask, max_execution_time=5)
        query("SELECT 1", {"max_rows_to_read": 3})
        assert asked == [{"max_threads": 1, "max_execution_time": 5, "max_rows_to_read": 3}]
        leader.lease.stop()
        with pytest.raises(GivenUp):
            query("SELECT 1", {})
    assert len(asked) == 1


async def test_no_search_of_an_earlier_leadership_asks_in_the_next_one() -> None:
    leader = leader_of()
    with leader.serving(leader.lease.generation):
        query = query_of(leader, lambda sql, settings: pl.DataFrame())
        query("SELECT 1", {})
    with pytest.raises(GivenUp):
        query("SELECT 1", {})
    leader.lease.assigned(True)
    with leader.serving(leader.lease.generation), pytest.raises(GivenUp):
        query("SELECT 1", {})


class Recorder:
    """Stands for the notifier."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def publish(self, alerts: Sequence[Alert]) -> None:
        self._log.append(f"publish {alerts}")

    def record(self, alerts: Sequence[Alert]) -> None:
        self._log.append(f"record {alerts}")


def campaigns_of(time: Time, evaluator: object) -> Campaigns:
    throttle = time.throttle(0.05)
    return Campaigns(
        leader_of(), cast(Evaluator, evaluator), cast(Notifier, Recorder(time.log)), no_ask, throttle
    )  # fmt: skip


async def test_campaigns_are_published_before_the_rest_for_their_search(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    monkeypatch.setattr(CampaignFinder, "search", lambda finder, query, due: time.work(1, [due, "Acme", "Other"]))
    evaluator = SimpleNamespace(campaigns_due=lambda: "due", raise_campaigns=lambda matches, now: matches)
    await campaigns_of(time, evaluator).search()
    assert time.log == ["work 1", "publish ['due', 'Acme', 'Other']", "rest 19.00"]


async def test_rounds_without_a_search_and_failed_ones_delay_no_later_search(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    due: list[str | None] = [None]
    failing = [True]

    def search(finder: CampaignFinder, query: object, due: str) -> list[str]:
        time.work(2)
        if failing[0]:
            raise EarshotError("ClickHouse is away")
        return [due]

    monkeypatch.setattr(CampaignFinder, "search", search)
    failed = list[str]()
    evaluator = SimpleNamespace(campaigns_due=lambda: due[0], raise_campaigns=lambda matches, now: matches)
    evaluator.campaigns = SimpleNamespace(failed=lambda: failed.append("due"))
    campaigns = campaigns_of(time, evaluator)
    for _ in range(1_000):
        await campaigns.search()
    due[0] = "due"
    with pytest.raises(EarshotError):
        await campaigns.search()
    failing[0] = False
    await campaigns.search()
    await campaigns.search()
    assert [entry for entry in time.log if entry.startswith("rest")] == ["rest 38.00", "rest 38.00"]
    assert failed == ["due"]


async def test_searches_that_fail_rest_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    time, errors = Time(), [EarshotError("ClickHouse is away"), EarshotError("ClickHouse is away"), ZeroDivisionError()]

    def search(finder: CampaignFinder, query: object, due: str) -> None:
        time.work(1)
        raise errors.pop(0)

    monkeypatch.setattr(background, "CAMPAIGN_EVERY_S", 0.0)
    monkeypatch.setattr(CampaignFinder, "search", search)
    evaluator = SimpleNamespace(campaigns_due=lambda: "due", campaigns=SimpleNamespace(failed=lambda: None))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(campaigns_of(time, evaluator).run(), 5)
    assert time.log == ["work 1", "rest 19.00", "work 1", "rest 19.00", "work 1"]


async def test_late_windows_are_recorded_before_the_rest_and_nobody_is_notified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time()

    class Script:
        def __init__(self, query: object, config: Alerts, first: datetime, last: datetime, zones: object) -> None:
            assert [rule.type for rule in config.rules] == ["threshold"] and last - first == timedelta(hours=1)
            self.alerts = ["old"]

        def steps(self) -> Iterator[float]:
            yield time.work(1, 0.5)

    rules = [{"name": "many", "type": "threshold", "measure": "count", "above": 1}]
    rules.append({"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}})
    monkeypatch.setattr(background, "Backtest", Script)
    evaluator = SimpleNamespace(
        config=Alerts.model_validate({"rules": rules}),
        zones={},
        late_span=lambda now: (AT, AT + timedelta(hours=1)),
        record=lambda alerts, now: alerts,
    )
    notifier = cast(Notifier, Recorder(time.log))
    late = LateWindows(leader_of(), cast(Evaluator, evaluator), notifier, no_ask, time.throttle(0.1))
    await late.evaluate(threading.Event())
    assert time.log == ["work 1", "rest 9.00", "record ['old']", "rest 0.00"]
    evaluator.late_span = lambda now: None
    await late.evaluate(threading.Event())
    assert len(time.log) == 4


@pytest.mark.parametrize("error", [EarshotError("ClickHouse is away"), MemoryError(), ZeroDivisionError("of ours")])
async def test_a_backtest_that_fails_costs_its_day_a_turn_and_no_more(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = metrics.LATE_DAYS_FAILED._value.get()
    days = [AT, AT + timedelta(days=1)]

    class Script:
        def __init__(self, query: object, config: Alerts, first: datetime, last: datetime, zones: object) -> None:
            self.alerts = [f"{first:%d}"]

        def steps(self) -> Iterator[float]:
            if self.alerts == ["01"]:
                raise error
            yield 1.0

    def due(now: datetime) -> tuple[datetime, datetime] | None:
        if not days:
            raise ProcessLookupError("no day is left")
        return days[0], days.pop(0)

    monkeypatch.setattr(background, "LATE_EVERY_S", 0.0)
    monkeypatch.setattr(background, "Backtest", Script)
    evaluator = SimpleNamespace(
        config=Alerts.model_validate({}), zones={}, late_span=due, record=lambda alerts, now: alerts
    )  # fmt: skip
    time = Time()
    late = LateWindows(
        leader_of(), cast(Evaluator, evaluator), cast(Notifier, Recorder(time.log)), no_ask, time.throttle(0.1)
    )  # fmt: skip
    with pytest.raises(ProcessLookupError):
        await asyncio.wait_for(late.run(), 5)
    assert [entry for entry in time.log if "record" in entry] == ["record ['02']"]
    assert caplog.text.count("late windows of 2026-09-01") == 1 and metrics.LATE_DAYS_FAILED._value.get() == failed + 1


async def test_the_end_of_leading_ends_a_rest_on_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = threading.Event(), threading.Event()

    class Script:
        def __init__(self, query: Ask, *_: object) -> None:
            self._query = query

        def steps(self) -> Iterator[float]:
            self._query("SELECT 1", {})
            ended.set()
            yield 1.0

    def ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        asked.set()
        real.sleep(0.02)
        return pl.DataFrame()

    monkeypatch.setattr(background, "LATE_EVERY_S", 0.0)
    monkeypatch.setattr(background, "Backtest", Script)
    evaluator = cast(Evaluator, SimpleNamespace(config=Alerts.model_validate({}), zones={}, late_span=lambda now: (AT, AT)))
    leader = leader_of()
    late = LateWindows(leader, evaluator, cast(Notifier, Recorder([])), ask, Background(0.0001))
    with leader.serving(leader.lease.generation):
        leader.start(late.run())
        assert await asyncio.to_thread(asked.wait, 5)
        await asyncio.sleep(0.1)
        assert not ended.is_set(), "it rests"
    assert await asyncio.to_thread(ended.wait, 5)


@pytest.mark.parametrize("error", [EarshotError("ClickHouse is away"), GivenUp()])
async def test_an_error_of_clickhouse_costs_one_round_and_a_fault_of_ours_ends_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [error, error, ZeroDivisionError()]

    def due() -> None:
        raise errors.pop(0)

    monkeypatch.setattr(background, "CAMPAIGN_EVERY_S", 0.0)
    evaluator = cast(Evaluator, SimpleNamespace(campaigns_due=due))
    campaigns = campaigns_of(Time(), evaluator)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(campaigns.run(), 5)
    assert not errors and caplog.text.count("no search for campaigns") == 2
