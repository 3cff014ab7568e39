"""Windows that come to light too late to tell anybody: on record, once, and as what they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.backtest.judge import Backtest, backtest
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.late_days import QUIET, LateDays
from pipeline.processors.alerts.minutes import DAY_MINUTES, minute_of, time_of
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.touched import SWEEP_MOST, Sweep
from pipeline.sinks.alerts import AlertTables
from schemas.signals import Signal
from schemas.times import utc_now
from tests.support.control_parts import MemoryStore

RULES = Alerts.model_validate(
    {"rules": [{"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "5m"}]}
)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        yield client


@pytest.fixture
def evaluator(client: Client) -> Evaluator:
    return start(client)


def start(client: Client, rules: Alerts = RULES) -> Evaluator:
    """As after a restart: a new one, with all that is in the tables."""
    fence = Fence(lambda: 0.0)
    fence.polled()
    evaluator = Evaluator(AlertTables(Inserter(client, fence, Vitals(), "alerts")), rules)
    evaluator.start(utc_now(), 0)
    return evaluator


def say(client: Client, at: datetime, count: int, brand: str = "Acme") -> None:
    start = f"fromUnixTimestamp64Milli({int(at.timestamp() * 1000)}, 'UTC')"
    key = f"cityHash64('{brand}', {int(at.timestamp())}, number)"
    client.command(
        f"INSERT INTO interactions (event_key, revision, version, platform, kind, created_at, occurred_at, brands, text) "
        f"SELECT {key}, number, 1, 'x', 'post', {start}, {start}, ['{brand}'], 'hello' FROM numbers({count})"
    )


def go_through(evaluator: Evaluator, client: Client, now: datetime) -> int:
    """How many alerts came on record."""
    span = evaluator.late_span(now)
    assert span is not None
    return len(evaluator.record(backtest(asker(client), RULES, *span), now))


def test_an_old_window_is_on_record_once_and_nobody_is_told(client: Client, evaluator: Evaluator) -> None:
    now = utc_now()
    then = (now - timedelta(hours=3)).replace(second=0, microsecond=0)
    say(client, then, 30)
    say(client, then + timedelta(minutes=1), 5, "Bolt")
    signal = Signal(touched={then: ("Acme",), then + timedelta(minutes=1): ("Bolt",)})
    assert evaluator.ingest([signal], now) == []
    assert evaluator.tick(now) == []
    assert evaluator.late_span(now) is None  # not quiet yet
    assert go_through(evaluator, client, now + QUIET) == 1
    rows = client.query(
        "SELECT brand, state, historical, raised_at, since, observed FROM alerts FINAL", query_tz="UTC"
    ).result_rows
    assert [row[:4] for row in rows] == [("Acme", "resolved", True, None)]
    assert rows[0][4].replace(tzinfo=UTC) == then and rows[0][5] == 30
    evaluator.ingest([signal], now)
    assert evaluator.late_span(now + QUIET) is None, "it was judged just now"
    assert go_through(evaluator, client, now + QUIET + timedelta(hours=1)) == 0


def test_what_was_told_in_time_is_not_on_record_again(client: Client, evaluator: Evaluator) -> None:
    now = utc_now()
    minute = now.replace(second=0, microsecond=0)
    say(client, minute, 30)
    evaluator.ingest([Signal(newest=now, touched={minute: ("Acme",)})], now)
    deadline = time.monotonic() + 10
    while not evaluator.lifecycle.open:
        assert time.monotonic() < deadline
        evaluator.tick(utc_now())
    later = now + timedelta(hours=4)
    evaluator.tick(later)
    evaluator.ingest([Signal(touched={minute: ("Acme",)})], later)
    assert go_through(evaluator, client, later + QUIET) == 0


def test_steps_of_events_hours_late_are_read_again_for_spikes(client: Client) -> None:
    now, rules = utc_now(), [{"name": "all", "type": "spike"}, {"name": "by", "type": "spike", "by": ["platform"]}]
    say(client, now - timedelta(days=3), 2)
    ran = start(client, Alerts.model_validate({"rules": rules}))
    then = (now - timedelta(hours=3)).replace(second=0, microsecond=0)
    say(client, then, 30)
    say(client, then + timedelta(minutes=11), 5, "Bolt")
    ran.ingest([Signal(touched={then + timedelta(minutes=n): ("Acme", "Bolt") for n in range(45)})], now)
    for minute in range(1, 4):
        ran.tick(now + timedelta(minutes=minute))
    for slice_, history in ran.windows.histories.items():
        table = ran.windows.rings[slice_].table
        sums = np.nansum(history.volume(table.known(), 60), axis=1)
        assert {table.scopes[row].brand: n for row, n in zip(table.known(), sums, strict=True)} == {"Acme": 30, "Bolt": 5}


# --- the sweep --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("longest", [1, 2, 7, 16, 60, 180])
@pytest.mark.parametrize("tick_s", [0.7, 1.0, 3.0, 61.0])
def test_each_minute_of_a_window_has_its_turn_before_it_leaves(longest: int, tick_s: float) -> None:
    sweep, swept = Sweep(time_of(0)), dict[int, float]()
    end_s = 60 * (3 * longest + 10)
    reads = 0
    for tick in range(1, int(end_s / tick_s)):
        seconds = tick * tick_s
        minute = 100_000 + int(seconds // 60)
        taken = sweep.take(minute, longest, time_of(0) + timedelta(seconds=seconds))
        assert len(taken) == len(set(taken)) <= SWEEP_MOST + 2 and set(taken) <= set(range(minute - longest, minute + 1))
        swept |= dict.fromkeys(taken, seconds)
        reads += len(taken)
    assert reads <= end_s / 60 * (min(longest + 1, SWEEP_MOST) + 2)
    for minute in range(1, 2 * longest):
        left = 60 * (minute + longest)
        turn = 61 * max(1.0, (longest + 1) / SWEEP_MOST)
        assert left - swept[100_000 + minute] <= turn + 2 * tick_s, "of its last minutes in the window, the sweep read one"


def test_no_window_is_not_swept() -> None:
    assert Sweep(time_of(0)).take(100, -61, time_of(5)) == []
    sweep = Sweep(time_of(5))
    assert sweep.take(100, 10, time_of(0)) == [] and sweep.take(100, 10, time_of(1)) != [], "a clock that goes back"


def test_a_backtest_says_who_would_have_been_notified(client: Client) -> None:
    then = datetime(2026, 11, 26, 17, 50, tzinfo=UTC)  # a Thursday
    say(client, then, 30)
    say(client, then + timedelta(minutes=30), 30, "Bolt")
    webhook = {"type": "webhook", "url": "https://ops.example/x"}
    office = {"when": {"days": ["mon-fri"], "hours": "08:00-18:00"}}
    rule = {**RULES.rules[0].model_dump(exclude_unset=True), "escalate": {"after": "5m", "to": ["pager"]}}
    config = Alerts.model_validate(
        {"receivers": [{"name": "chat", **webhook, **office}, {"name": "pager", **webhook}], "rules": [rule]}
    )
    test = Backtest(asker(client), config, then, then + timedelta(days=1))
    list(test.steps())
    acme, bolt = test.alerts
    minute = timedelta(minutes=1)
    assert test.hearing.of(acme.key) == [("chat", then + minute, False), ("pager", then + 6 * minute, True)]
    assert test.hearing.of(bolt.key) == [("pager", then + 36 * minute, True)]
    assert acme.escalated_at == then + 6 * minute


def test_an_old_window_that_was_not_judged_before_a_restart_is_judged_after_it(client: Client, evaluator: Evaluator) -> None:
    now = utc_now()
    then = (now - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
    say(client, then, 30)
    evaluator.ingest([Signal(touched={then: ("Acme",), then + timedelta(minutes=7): ("Acme",)})], now)
    evaluator.tick(now)  # after it, the signal is committed
    second = start(client)
    now = utc_now()
    hour = timedelta(hours=1)
    assert second.late_span(now + QUIET) is None, "its backtest may have ended the process"
    assert second.late_span(now + hour) == (then, then + timedelta(minutes=7 + 5))
    third = start(client)  # the second was killed before it was through
    now = utc_now()
    assert go_through(third, client, now + hour) == 1
    third.tick(now + hour)
    assert start(client).late_span(now + 2 * hour) is None


# --- which day comes next ---------------------------------------------------------------------------------------------
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
TODAY = minute_of(NOON) // DAY_MINUTES


def minute(day: int, number: int) -> int:
    return (TODAY + day) * DAY_MINUTES + number


def later(**ago: float) -> datetime:
    return NOON + timedelta(**ago)


def test_a_day_that_a_poller_touches_all_the_time_gets_its_turn() -> None:
    days, turns = LateDays(), []
    for second in range(0, 3 * 3600, 5):
        for day in (-2, -3):
            days.note(minute(day, 10), later(seconds=second))
        if (span := days.take(later(seconds=second + 1), 5)) is not None:
            turns.append((second // 3600, span[0].date() - NOON.date()))
            days.done()
    assert turns == [(hour, timedelta(days=day)) for hour in (1, 2) for day in (-3, -2)]


def test_the_day_that_has_waited_longest_is_next() -> None:
    days = LateDays()
    for age, day in enumerate((-4, -9, -2)):
        days.note(minute(day, 0), later(seconds=age))
    taken = []
    while (span := days.take(later(seconds=30), 5)) is not None:
        taken.append((span[0] - NOON).days + 1)
        days.done()
    assert taken == [-4, -9, -2]


def test_a_day_whose_backtest_failed_comes_again_after_an_hour_with_all_its_minutes() -> None:
    days = LateDays()
    days.note(minute(-1, 10), NOON)
    assert days.take(later(seconds=10), 5) is not None
    days.note(minute(-1, 90), later(seconds=11))
    assert days.take(later(seconds=21), 5) is None, "it failed"
    span = days.take(later(seconds=21, hours=1), 5)
    assert span == (time_of(minute(-1, 10)), time_of(minute(-1, 95)))


def test_a_day_that_is_touched_while_its_backtest_runs_waits_once_more() -> None:
    days, log = LateDays(), list[str]()
    store = MemoryStore(log)
    days.note(minute(-1, 10), NOON)
    days.save(store, NOON, 0)
    days.take(later(seconds=10), 5)
    days.note(minute(-1, 90), later(seconds=11))
    days.save(store, later(seconds=11), 0)
    assert [(each.first, each.last) for each in store.late_days()] == [(minute(-1, 10), minute(-1, 90))]
    days.done()
    days.save(store, later(seconds=12), 0)
    assert [(each.first, each.last) for each in store.late_days()] == [(minute(-1, 90), minute(-1, 90))]
    assert days.take(later(seconds=21), 5) is None, "it was judged just now"
    assert days.take(later(hours=1, seconds=10), 5) == (time_of(minute(-1, 90)), time_of(minute(-1, 95)))
    days.done()
    days.save(store, later(hours=1, seconds=30), 0)
    assert store.late_days() == []


def test_a_day_that_is_touched_without_end_is_judged_again_less_and_less_often() -> None:
    days, turns = LateDays(), list[int]()
    for minutes in range(0, 4 * 24 * 60, 5):
        days.note(minute(-9, 10), later(minutes=minutes))
        if days.take(later(minutes=minutes), 5) is not None:
            turns.append(minutes // 60)
            if len(turns) != 2:  # a failed backtest is not cheaper
                days.done()
    assert turns == [1, 2, 6, 30, 54, 78]


def test_a_day_that_was_left_alone_for_long_is_judged_at_once_again() -> None:
    days = LateDays()
    for hours in (0, 1, 30):
        days.note(minute(-2, 10), later(hours=hours))
        assert days.take(later(hours=hours, seconds=10), 5) is not None
        days.done()


def test_a_day_whose_backtest_ends_the_process_does_not_end_each_one_at_once() -> None:
    store = MemoryStore([])
    days = LateDays()
    days.note(minute(-1, 10), NOON)
    days.save(store, NOON, 0)
    for start in range(3):
        days = LateDays()
        days.read(store, later(hours=start))
        days.note(minute(-1, 10), later(hours=start, minutes=1))
        assert days.take(later(hours=start, minutes=59), 5) is None
        assert days.take(later(hours=start + 1), 5) is not None
