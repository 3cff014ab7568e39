"""Rules of type no_data: what counts as a sign of life, and when nobody misses a source any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import COLUMNS_SQL, insert_versions, minutes
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts import usual_gaps
from pipeline.processors.alerts.condition import NO_EVENT
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.no_data import LastArrivals, judge_sources
from pipeline.processors.alerts.rule_types import NoDataRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert, Scope, State

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def config(**keys: Any) -> Alerts:
    return Alerts.model_validate({"rules": [{"name": "quiet", "type": "no_data", "of": "platform", **keys}]})


class Bench:
    """Control's evaluator over the tables; the time is what the test says it is."""

    def __init__(self, client: Client) -> None:
        self.client, self._keys = client, count(1)

    def start(self, now: datetime, rules: Alerts) -> None:
        """As after a restart: a new evaluator."""
        fence = Fence(lambda: 0.0)
        fence.polled()
        self.evaluator = Evaluator(AlertTables(Inserter(self.client, fence, Vitals(), "alerts")), rules)
        self.evaluator.start(now, 0)

    def land(self, platform: str, arrived: datetime, ago: timedelta = timedelta(0)) -> tuple[int, datetime]:
        """A post that was written so long before it arrived."""
        key, at = next(self._keys), arrived - ago
        row = {
            "event_key": key, "revision": key, "version": 32, "id": str(key), "platform": platform, "kind": "post",
            "text": "hm", "created_at": at, "occurred_at": at, "brands": ["Acme"], "ingested_at": arrived,
        }  # fmt: skip
        self.client.insert("interactions", [list(row.values())], column_names=list(row))
        return key, at

    def changes(self, now: datetime) -> list[tuple[str, str]]:
        """Those of the state; that its numbers are saved is none."""
        news = (a for a in self.evaluator.tick(now) if a.state == State.RESOLVED or a.raised_at == a.changed_at)
        return [(alert.scope.platform, str(alert.state)) for alert in news]


@pytest.fixture
def bench(emptied: Settings) -> Iterator[Bench]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield Bench(client)


def test_a_poller_that_brings_older_posts_is_no_dead_source(bench: Bench) -> None:
    """Every ten minutes it brings a review of five minutes ago; control restarts on the way."""
    rules = config(after="15m")
    bench.land("reviews", NOON - 5 * MINUTE, 5 * MINUTE)
    bench.start(NOON, rules)
    for minute in range(1, 70):
        if minute % 10 == 5 and minute < 50:
            bench.land("reviews", NOON + minute * MINUTE, 5 * MINUTE)
        if minute == 33:
            bench.start(NOON + minute * MINUTE, rules)
        at = bench.changes(NOON + minute * MINUTE + timedelta(seconds=1))
        assert at == ([("reviews", "firing")] if minute == 60 else []), minute


def test_events_that_come_after_a_lag_are_a_sign_of_life(bench: Bench) -> None:
    bench.land("x", NOON - 3 * HOUR)
    bench.start(NOON, config(after="1h"))
    bench.land("x", NOON + 30 * timedelta(seconds=1), 3 * HOUR)
    assert bench.changes(NOON + MINUTE) == []
    assert bench.changes(NOON + 62 * MINUTE) == [("x", "firing")]


def test_rows_that_an_outage_of_clickhouse_delayed_are_found_two_looks_later(bench: Bench) -> None:
    bench.land("x", NOON - 50 * MINUTE)
    bench.start(NOON, config(after="1h"))
    assert bench.changes(NOON + MINUTE) == []
    assert bench.changes(NOON + 31 * MINUTE) == [("x", "firing")]  # ClickHouse was away meanwhile
    bench.land("x", NOON + 2 * MINUTE)  # was written when it came back, under the time of the first try
    assert bench.changes(NOON + 32 * MINUTE) == [("x", "resolved")]


def test_a_new_version_of_a_stored_row_is_no_sign_of_life(bench: Bench) -> None:
    """Rescore, rematch and late labels write one."""
    key, at = bench.land("x", NOON - 50 * MINUTE)
    bench.start(NOON, config(after="1h"))
    rows = pl.DataFrame({"event_key": [key], "revision": [key]}, schema={"event_key": pl.UInt64, "revision": pl.UInt64})
    columns = [name for (name,) in bench.client.query(COLUMNS_SQL).result_rows]
    created = pl.Series([at], dtype=pl.Datetime("ms", "UTC"))
    bench.client.command(insert_versions(columns, rows, {"sentiment_label": "'positive'"}, 1, minutes(created)))
    stored = bench.client.query("SELECT sentiment_label FROM interactions FINAL").result_rows
    assert stored == [("positive",)]
    assert bench.changes(NOON + 11 * MINUTE) == [("x", "firing")]


def test_nobody_misses_an_archive_that_was_replayed(bench: Bench) -> None:
    bench.start(NOON, config(after="1h"))
    bench.land("archive", NOON + MINUTE, 30 * DAY)
    bench.land("x", NOON + MINUTE, DAY)
    assert bench.changes(NOON + 62 * MINUTE) == [("x", "firing")]


def test_a_restart_misses_the_same_sources(bench: Bench) -> None:
    bench.land("x", NOON - 8 * DAY)
    bench.land("y", NOON - 15 * DAY)
    for _ in range(2):
        bench.start(NOON, config(after="7d"))
        bench.changes(NOON + MINUTE)
        assert [alert.scope.platform for alert in bench.evaluator.lifecycle.open] == ["x"]


def test_invented_names_raise_no_alert_each(caplog: pytest.LogCaptureFixture) -> None:
    """Two real platforms and one that a rule lists, among 20,000 with an event each; one more real platform comes later."""
    looks = iter([
        {"x": 5_000, "reddit": 300, "listed": 1} | {f"invented-{n}": 1 for n in range(20_000)},
        {"x": 50, "new": 7} | {f"more-{n}": 1 for n in range(500)},
        {"x": 50},
    ])  # fmt: skip
    times = iter([NOON, NOON + MINUTE, NOON + 2 * MINUTE])

    def query(sql: str) -> pl.DataFrame:
        events, at = next(looks), next(times)
        landed = [at] * len(events)
        return pl.DataFrame({"name": list(events), "last": landed, "events": list(events.values()), "newest": landed})

    rules = [
        NoDataRule.model_validate({"name": name, "type": "no_data", "of": "platform", "after": "1h", **more})
        for name, more in (("all", {}), ("some", {"names": ["listed"]}))
    ]
    arrivals = LastArrivals()
    left_out = []
    for minute in range(3):
        arrivals.read(query, rules, NOON + minute * MINUTE)
        left_out.append(arrivals.left_out)
        arrivals.left_out = 0
    known = {name for _, name in arrivals.at}
    assert len(known) == 1_001 and {"x", "reddit", "listed", "new"} <= known
    assert left_out == [19_002, 501, 0] and caplog.text.count("more than 1000 names of type platform") == 1
    alerts = judge_sources(Lifecycle(Alerts(rules=tuple(rules))), rules, arrivals.at, NOON + 2 * HOUR)
    assert len(alerts) == 1_002, "the listed one by both rules"


def test_what_is_usual_of_a_listeners_source_is_kept_over_a_restart_and_outlives_the_rows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three weeks of a post every twenty minutes are in table interactions at the first start; then only in source_arrivals,
    whose rows of long ago go: hence today."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    health: tuple[Any, ...] = ("feed", "rss", "running", "", None, noon, noon, None, 0, 0, {}, None, "host:1", noon, 60.0)
    bench.client.insert("source_health", [health])
    every = range(0, 21 * 24 * 60, 20)
    rows = [(key, noon - minute * MINUTE, *[noon - minute * MINUTE] * 2, "feed") for key, minute in enumerate(every)]
    columns = ["event_key", "created_at", "occurred_at", "ingested_at", "source_name"]
    bench.client.insert("interactions", rows, column_names=columns)
    rules = config(of="source", after="7d")
    monkeypatch.setattr(usual_gaps, "SLICE", 8 * DAY)
    monkeypatch.setattr(usual_gaps, "AT_ONCE_S", -1.0)  # one slice a look
    for restart in (0, 1):
        bench.start(noon + restart * MINUTE, rules)
        assert bench.changes(noon + (1 + restart) * MINUTE) == []
        assert bench.evaluator.arrivals.life.gaps.reads_on, "the evaluator does not wait for all that was there"
    for minute in (3, 4):
        assert bench.changes(noon + minute * MINUTE) == []
    assert not bench.evaluator.arrivals.life.gaps.reads_on
    kept = "SELECT uniqExact(hour), sum(bitCount(minutes)) FROM source_arrivals FINAL WHERE excused = 0"
    assert bench.client.query(kept).result_rows == [(505, 1512)]
    bench.client.command("TRUNCATE TABLE interactions")
    bench.start(noon + 4 * MINUTE, rules)
    for minute in range(4, 82):
        at = noon + minute * MINUTE
        bench.client.insert("source_health", [(*health[:6], at, *health[7:13], at, 60.0)])
        bench.changes(at)
        if minute == 80:
            (alert,) = bench.evaluator.lifecycle.open
            assert (alert.measure, alert.raised_at, alert.since, alert.expected) == (NO_EVENT, at, noon, 20)
        elif minute < 80:
            assert bench.evaluator.lifecycle.open == [], minute
    bench.client.insert("source_health", [("feed", "rss", "gone", *health[3:13], noon + 82 * MINUTE, 60.0)])
    bench.evaluator.tick(noon + 83 * MINUTE)
    assert bench.evaluator.lifecycle.open == []


# --- not missed any more ----------------------------------------------------------------------------------------------
def judged(life: Lifecycle, last: dict[tuple[str, str], datetime], now: datetime) -> list[Alert]:
    rules = [rule for rule in life.config.rules if isinstance(rule, NoDataRule)]
    return judge_sources(life, rules, last, now) + life.sweep(now, now)


def missing() -> Lifecycle:
    """An alert is open: x sent nothing since NOON."""
    life = Lifecycle(config(after="1h"))
    (fired,) = judged(life, {("platform", "x"): NOON}, NOON + HOUR)
    assert (fired.scope, fired.state) == (Scope(platform="x"), State.FIRING)
    return life


def test_an_alert_about_a_source_that_is_gone_ends(bench: Bench) -> None:
    life, last = missing(), {("platform", "x"): NOON}
    assert judged(life, last, NOON + 7 * DAY + HOUR) == []
    (over,) = judged(life, last, NOON + 7 * DAY + HOUR + MINUTE)
    assert (over.state, over.comment, over.ended_at) == (State.RESOLVED, "not missed any more", NOON + 7 * DAY + HOUR)
    assert judged(life, last, NOON + 8 * DAY) == []
    (after_restart,) = judged(missing(), {}, NOON + 30 * DAY)
    assert (after_restart.state, after_restart.comment) == (State.RESOLVED, "not missed any more")


@pytest.mark.parametrize("keys", [{"names": ["y"]}, {"of": "source"}])
def test_an_alert_about_a_source_that_its_rule_names_no_more_ends(keys: dict[str, Any]) -> None:
    life = missing()
    life.config = config(after="1h", **keys)
    (over,) = judged(life, {("platform", "x"): NOON, ("platform", "y"): NOON + 2 * HOUR}, NOON + 2 * HOUR)
    assert (over.state, over.comment) == (State.RESOLVED, "not missed any more")


def test_an_alert_whose_rule_is_of_another_type_now_ends() -> None:
    life = missing()
    life.config = Alerts.model_validate({"rules": [{"name": "quiet", "type": "spike"}]})
    (over,) = judged(life, {}, NOON + 2 * HOUR)
    assert (over.state, over.comment) == (State.RESOLVED, "the rule was taken out")


def test_the_test_of_a_rule_is_about_no_source() -> None:
    life = missing()
    test = life.test(life.config.rules[0], "", "ines", NOON + HOUR)
    assert judged(life, {("platform", "x"): NOON}, NOON + HOUR) == []
    assert test in life.open


def test_a_row_of_a_worker_whose_clock_is_ahead_is_an_arrival_of_now(bench: Bench) -> None:
    """Once: a source that sends nothing more is missed, and one that another worker reads lives."""
    for platform in ("dead", "alive"):
        bench.land(platform, NOON + 5 * HOUR)
    bench.start(NOON, config(after="15m"))
    changes = []
    for minute in range(0, 60):
        if minute % 10 == 0:
            bench.land("alive", NOON + minute * MINUTE)
        changes += [(minute, *change) for change in bench.changes(NOON + minute * MINUTE)]
    assert changes == [(15, "dead", "firing")]


@pytest.mark.parametrize("ahead", [timedelta(0), 10 * MINUTE])
def test_a_look_reads_what_came_since_the_looks_before(ahead: timedelta) -> None:
    """Control's clock may be ahead of the workers'."""
    asked: list[str] = []

    def query(sql: str) -> pl.DataFrame:
        last = NOON + len(asked) * MINUTE
        asked.append(sql.partition("WHERE ingested_at >= '")[2][:19])
        frame = pl.DataFrame({"name": ["x"], "last": [last], "events": [1], "newest": [last]})
        return frame.cast({"last": pl.Datetime("ms", "UTC"), "newest": pl.Datetime("ms", "UTC")})

    arrivals, rules = LastArrivals(), [rule for rule in config().rules if isinstance(rule, NoDataRule)]
    for minute in range(5):
        arrivals.read(query, rules, NOON + minute * MINUTE + ahead)
    assert asked[1:] == [f"2026-09-01 {each}" for each in ("11:58:00", "11:58:00", "11:58:00", "11:59:00")]
    assert asked[0] == f"{NOON + ahead - 14 * DAY:%Y-%m-%d %H:%M:%S}"
