"""Thresholds `below`: their scopes are known after a restart, too, although nothing is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rule_types import ThresholdRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.window_rules import named_scopes
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Scope

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
ORDERS = {"name": "orders", "type": "threshold", "measure": "count", "below": 1, "window": "10m", "resolve": "10m"}


class Bench:
    def __init__(self, client: Client) -> None:
        self._client, self._keys = client, count(1)

    def start(self, minute: int, **keys: Any) -> None:
        """As after a restart: a new evaluator, at this minute after NOON."""
        fence = Fence(lambda: 0.0)
        fence.polled()
        rules = Alerts.model_validate({"rules": [ORDERS | keys]})
        self.evaluator = Evaluator(AlertTables(Inserter(self._client, fence, Vitals(), "alerts")), rules)
        self.evaluator.start(at(minute), 0)

    def land(self, *minutes: int, platform: str = "shop", brand: str = "Acme") -> None:
        """An order in each of these minutes."""
        rows = [
            {"event_key": key, "revision": key, "version": 32, "id": str(key), "platform": platform, "kind": "order",
             "created_at": at(minute), "occurred_at": at(minute), "ingested_at": at(minute), "brands": [brand]}
            for minute, key in [(minute, next(self._keys)) for minute in minutes]
        ]  # fmt: skip
        self._client.insert("interactions", [list(row.values()) for row in rows], column_names=list(rows[0]))

    def minutes(self, first: int, last: int) -> list[tuple[int, str, str, str]]:
        """What happens from minute to minute: (minute, brand, platform, state)."""
        return [
            (minute, alert.scope.brand, alert.scope.platform, str(alert.state))
            for minute in range(first, last + 1)
            for alert in self.evaluator.tick(at(minute) + timedelta(seconds=15))
            if alert.state == "resolved" or alert.version == 1
        ]


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


@pytest.fixture
def bench(emptied: Settings) -> Iterator[Bench]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield Bench(client)


@pytest.mark.parametrize("keys", [{"brands": ["Acme"], "platforms": ["shop"]}, {"by": ["platform"]}, {}])
def test_an_alert_about_too_little_goes_on_after_a_restart(bench: Bench, keys: dict[str, Any]) -> None:
    bench.land(*range(-80, 1, 5))
    bench.start(8, **keys)
    (fired,) = bench.minutes(8, 12)
    assert fired[:3] == (11, "Acme", "shop" if "by" in keys else "")
    bench.start(140, **keys)
    assert bench.minutes(140, 152) == []
    assert len(bench.evaluator.lifecycle.open) == 1
    bench.land(153, 159)
    assert [each[3] for each in bench.minutes(153, 166)] == ["resolved"]


def test_an_alert_about_too_little_outlasts_the_minute_that_is_not_judged_yet(bench: Bench) -> None:
    """A minute is judged 10 s after its end, the next one a minute later: longer than this rule's `resolve`."""
    bench.start(0, brands=["Acme"], resolve="2s")
    assert len(bench.minutes(0, 0)) == 1
    for second in range(16, 200, 6):
        changes = bench.evaluator.tick(at(0) + timedelta(seconds=second))
        assert [alert for alert in changes if alert.state == "resolved"] == [], second


@pytest.mark.parametrize("keys", [{"brands": ["Acme"]}, {}, {"by": ["platform"]}])
def test_orders_that_stop_while_control_is_away_are_missed(bench: Bench, keys: dict[str, Any]) -> None:
    bench.land(-24 * 60)
    bench.land(-8 * 24 * 60, brand="Forgotten")
    bench.start(0, **keys)
    assert [each[1:] for each in bench.minutes(0, 5)] == [("Acme", "shop" if "by" in keys else "", "firing")]


@pytest.mark.parametrize("restart", [0, 3])
def test_a_scope_is_missed_from_its_first_mention_on(bench: Bench, restart: int) -> None:
    bench.land(0)
    bench.start(0)
    assert bench.minutes(0, 2) == []
    if restart:
        bench.start(restart)
    assert bench.minutes(3, 14) == [(11, "Acme", "", "firing")]


def test_a_named_scope_that_was_never_mentioned_is_missed_and_stays_known(bench: Bench) -> None:
    bench.start(0, brands=["Acme", "Bolt"], platforms=["shop", "app"], by=["platform"])
    table = next(iter(bench.evaluator.windows.rings.values())).table
    fired = bench.minutes(0, 5)
    expected = {("Acme", "shop"), ("Acme", "app"), ("Bolt", "shop"), ("Bolt", "app")}
    assert {each[1:3] for each in fired} == expected and len(fired) == 4
    bench.evaluator.windows._tidy(10**9)
    assert {(scope.brand, scope.platform) for scope in (table.scopes[row] for row in table.known())} == expected


@pytest.mark.parametrize("keys", [{}, {"by": ["platform"], "platforms": ["app"]}])
def test_a_reload_that_takes_a_scope_from_its_rule_ends_the_alert(bench: Bench, keys: dict[str, Any]) -> None:
    bench.land(*range(-80, 1, 5))
    bench.land(*range(-80, 25), platform="app")
    bench.start(8, by=["platform"])
    assert [each[2:] for each in bench.minutes(8, 15)] == [("shop", "firing")]
    bench.evaluator.use(Alerts.model_validate({"rules": [ORDERS | keys]}))
    assert bench.minutes(16, 24) == [(16, "Acme", "shop", "resolved")]
    (over,) = bench.evaluator.lifecycle._ended["orders", Scope("Acme", "shop")]
    assert over.comment == "the rule is not about it any more"


@pytest.mark.parametrize(
    ("keys", "scope", "about"),
    [
        ({}, Scope("A"), True),
        ({}, Scope("A", "x"), False),
        ({"platforms": ["x"]}, Scope("A"), True),
        ({"by": ["platform"]}, Scope("A"), False),
        ({"by": ["platform"]}, Scope("A", "x"), True),
        ({"by": ["platform"], "platforms": ["y"]}, Scope("A", "x"), False),
        ({"brands": ["B"]}, Scope("A"), False),
        ({"by": ["language"]}, Scope("A"), True),  # of an event without a language
        ({"by": ["language"], "languages": ["de"]}, Scope("A", "", "en"), False),
        ({"by": ["language"], "languages": ["de"]}, Scope("A", "", "de"), True),
        ({"by": ["platform"]}, Scope("A", "x", "de"), False),
    ],
)
def test_whether_a_rule_is_about_a_scope(keys: dict[str, Any], scope: Scope, about: bool) -> None:
    assert ThresholdRule.model_validate(ORDERS | keys).is_about(scope) is about


@pytest.mark.parametrize(
    ("keys", "scopes"),
    [
        ({"brands": ["A", "B"]}, [Scope("A"), Scope("B")]),
        ({"brands": ["A"], "platforms": ["x", "y"]}, [Scope("A")]),
        ({"brands": ["A"], "platforms": ["x", "y"], "by": ["platform"]}, [Scope("A", "x"), Scope("A", "y")]),
        ({"brands": ["A"], "languages": ["de"], "by": ["language"]}, [Scope("A", "", "de")]),
        ({"brands": ["A"], "by": ["platform"]}, []),  # which platforms there are, events decide
        ({"platforms": ["x"], "by": ["platform"]}, []),
        ({"brands": ["A"], "below": None, "above": 1}, []),
        ({"brands": ["A"], "measure": "score", "below": 0}, []),  # it needs mentions
    ],
)
def test_the_scopes_that_a_rule_names(keys: dict[str, Any], scopes: list[Scope]) -> None:
    assert named_scopes([ThresholdRule.model_validate(ORDERS | keys)]) == scopes
