"""Candidates of rules that control does not know yet: they wait, over restarts, and raise their alert once it knows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.monitoring.metrics import SIGNALS_UNREADABLE
from pipeline.processors.alerts import unknown_rules
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.store import AlertStore
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert
from schemas.signals import Candidate, Signal, dump
from schemas.times import utc_now
from tests.support.control_parts import CRISIS, MemoryStore

NOON = utc_now().replace(microsecond=0)
OLDER = Alerts.model_validate({"rules": [{"name": "voice", "type": "reach", "followers": 1000}]})


def signal(*keys: int, rule: str = "crisis", created: datetime = NOON, **fields: Any) -> Signal:
    values: dict[str, Any] = {"brand": "Acme", "platform": "x", "language": "en", "observed": 1.0, **fields}
    each = (Candidate(rule=rule, event_key=key, created_at=created, occurred_at=created, **values) for key in keys)
    return Signal(newest=created, candidates=tuple(each))


def started(store: AlertStore, config: Alerts, now: datetime = NOON) -> Evaluator:
    evaluator = Evaluator(store, config)
    evaluator.start(now, 0)
    return evaluator


def raised(alerts: list[Alert]) -> list[tuple[str, str, float]]:
    return [(alert.rule, alert.scope.brand, alert.observed) for alert in alerts]


def later(**fields: float) -> datetime:
    return NOON + timedelta(**fields)


def test_they_raise_their_alert_when_the_rule_is_there() -> None:
    evaluator = started(MemoryStore([]), OLDER)
    assert evaluator.ingest([signal(1), signal(2, brand="Bolt"), signal(3, rule="voice")], NOON) != []
    assert raised(evaluator.tick(later(seconds=1))) == []
    assert (len(evaluator.unknown), evaluator.unknown.rules) == (2, ["crisis"])
    evaluator.use(CRISIS)
    changes = raised(evaluator.tick(later(seconds=2)))
    assert [each for each in changes if each[0] == "crisis"] == [("crisis", "Acme", 1.0), ("crisis", "Bolt", 1.0)]
    assert len(evaluator.unknown) == 0
    assert raised(evaluator.tick(later(seconds=3))) == []


def test_one_dated_ahead_counts_from_the_time_at_which_it_was_heard() -> None:
    evaluator = started(MemoryStore([]), OLDER)
    evaluator.ingest([signal(1, matched_at=later(hours=23))], NOON)
    evaluator.use(CRISIS)
    (alert,) = evaluator.tick(later(hours=20))
    assert (alert.historical, alert.since) == (True, NOON)


def test_they_outlast_a_restart_and_a_signal_that_is_read_again(emptied: Settings) -> None:
    """Over the tables: waiting, killed, waiting, known, killed."""
    with clickhouse_client(emptied.clickhouse) as client:
        fence = Fence(lambda: 0.0)
        fence.polled()
        store = AlertTables(Inserter(client, fence, Vitals(), "alerts"))
        words = ("rückruf", 'a "recall"')
        started(store, OLDER).ingest([signal(2**63 + 1, 2, words=words, brand="Müller's", kafka_ms=7)], NOON)
        second = started(store, OLDER, later(minutes=1))
        second.ingest([signal(2**63 + 1, 2, words=words, brand="Müller's", kafka_ms=7)], later(minutes=1))
        assert len(second.unknown) == 2
        third = started(store, CRISIS, later(minutes=2))
        (alert,) = third.tick(later(minutes=2))
        assert (alert.rule, alert.scope.brand, alert.terms) == ("crisis", "Müller's", words)
        assert third.lifecycle.open[0].observed == 2
        members = client.query("SELECT event_key FROM alert_events FINAL ORDER BY event_key").result_rows
        assert members == [(2,), (2**63 + 1,)]
        fourth = started(store, CRISIS, later(minutes=3))
        assert len(fourth.unknown) == 0 and fourth.tick(later(minutes=3)) == []


class OneRow:
    """ClickHouse with these rows in alert_candidates."""

    def __init__(self, *signals: bytes) -> None:
        self._rows = pl.DataFrame({"signal": [each.decode() for each in signals], "heard_at": [NOON] * len(signals)})

    def query(self, sql: str) -> pl.DataFrame:
        return self._rows


@pytest.mark.logs_errors
def test_a_stored_row_that_nobody_can_read_is_skipped_and_counted() -> None:
    (good,) = dump(signal(1))
    before = SIGNALS_UNREADABLE._value.get()
    rows = OneRow(good.replace(b'"observed":1.0', b'"observed":null'), good, b"")
    waiting = AlertTables(cast(Inserter, rows)).waiting_candidates(NOON)
    assert [candidate.event_key for candidate, _ in waiting] == [1]
    assert SIGNALS_UNREADABLE._value.get() - before == 2


def test_killed_before_they_are_done_they_raise_nothing_twice(emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        fence = Fence(lambda: 0.0)
        fence.polled()
        store = AlertTables(Inserter(client, fence, Vitals(), "alerts"))
        started(store, OLDER).ingest([signal(1)], NOON)
        killed = started(store, CRISIS)
        assert raised(killed._single(killed.unknown.known(CRISIS), NOON)) == [("crisis", "Acme", 1.0)]
        heir = started(store, CRISIS, later(seconds=5))
        assert heir.tick(later(seconds=5)) == [] and len(heir.unknown) == 0
        assert heir.lifecycle.open[0].observed == 1


def test_they_wait_for_a_day_and_only_so_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore([])
    evaluator = started(store, OLDER)
    monkeypatch.setattr(unknown_rules, "MOST", 3)
    evaluator.ingest([signal(1, 2, 3, 4, 5)], NOON)
    assert (len(evaluator.unknown), evaluator.unknown.dropped) == (3, 2)
    evaluator.ingest([signal(1, 2, 3)], NOON)
    assert (len(evaluator.unknown), evaluator.unknown.dropped) == (3, 2), "they wait already"
    evaluator.tick(later(hours=23))
    assert len(evaluator.unknown) == 3
    evaluator.tick(later(hours=24))
    assert (len(evaluator.unknown), evaluator.unknown.dropped) == (0, 5)
    assert len(started(store, OLDER, later(hours=24)).unknown) == 0
