"""The scopes of open alerts while names that nobody knows fill the table, and which scopes a late event has judged again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl
import pytest

from pipeline.processors.alerts import windows
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.table import NONE, ScopeLimit
from pipeline.processors.alerts.verdicts import Verdicts
from schemas.alerts import Alert, Scope, State
from schemas.signals import Signal
from tests.support.control_parts import MemoryStore
from tests.support.minutes import MINUTE, at, frame, said

pytestmark = pytest.mark.slow

LOW = {"name": "low", "type": "threshold", "measure": "count", "below": 5, "window": "10m", "resolve": "10m"}
TONE = {"name": "tone", "type": "threshold", "measure": "negative_share", "above": 0.9, "min_mentions": 1, "window": "10m"}
OPEN = Alert(
    key=1, version=1, rule="low", type="threshold", scope=Scope("Acme"), state=State.FIRING, severity=5,
    since=at(MINUTE - 500), last_at=at(MINUTE - 2), changed_at=at(MINUTE - 2), raised_at=at(MINUTE - 500),
)  # fmt: skip


class Strangers(MemoryStore):
    """Its minutes hold so many new names each, and nothing else."""

    names = 12

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        minutes = {int(each) // 60 for each in re.findall(r"[0-9]{10}", sql)}
        rows = [said(m, 1, f"stranger {m} {n}") for m in range(min(minutes), max(minutes) + 1) for n in range(self.names)]
        return frame(*rows).with_columns(live=pl.lit(1, pl.UInt64))


def test_an_alert_goes_on_over_a_start_with_a_full_table_and_while_it_stays_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "ScopeLimit", lambda: ScopeLimit(50))
    evaluator = Evaluator(Strangers([], [OPEN]), Alerts.model_validate({"rules": [LOW]}))
    evaluator.start(at(MINUTE), 0)
    table = next(iter(evaluator.windows.rings.values())).table
    assert evaluator.windows.room.is_short and evaluator.windows.room.left_out
    for minute in range(90):
        now = at(MINUTE + minute) + timedelta(seconds=20)
        assert [alert for alert in evaluator.tick(now) if alert.state == State.RESOLVED and alert.scope == OPEN.scope] == []
        assert table.find([OPEN.scope])[0] != NONE
    assert OPEN.key in {alert.key for alert in evaluator.lifecycle.open}


def test_a_late_event_has_the_windows_judged_that_hold_it_for_its_brand_and_open_alerts() -> None:
    store = Strangers([], [OPEN])
    store.names = 4
    evaluator = Evaluator(store, Alerts.model_validate({"rules": [LOW | {"brands": ["Acme"]}, TONE]}))
    evaluator.start(at(MINUTE), 0)
    evaluator.tick(at(MINUTE, 20))
    late, judged = MINUTE - 50, list[tuple[int, set[str]]]()
    take = evaluator.lifecycle.take_verdicts

    def noted(verdicts: Iterable[Verdicts], now: datetime, late: bool = False) -> list[Alert]:
        listed = list(verdicts)
        judged.extend((each.minute, {scope.brand for scope in each.scopes}) for each in listed if late)
        return take(listed, now, late)

    evaluator.lifecycle.take_verdicts = noted  # type: ignore[method-assign]
    brand = f"stranger {late} 3"
    evaluator.ingest([Signal(newest=at(MINUTE, 21), touched={at(late): (brand,)})], at(MINUTE, 21))
    evaluator.tick(at(MINUTE, 22))
    assert [minute for minute, _ in judged] == list(range(late, late + 10))
    assert {name for _, brands in judged for name in brands} == {brand, "Acme"}


class Bursts(MemoryStore):
    """Acme has two bursts, fifty minutes apart; each minute has a mention of Other."""

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        minutes = [int(each) // 60 for each in re.findall(r"[0-9]{10}", sql)]
        rows = [said(minute, 1, "Other") for minute in range(min(minutes), max(minutes) + 1)]
        bursts = [said(minute, 30) for minute in (MINUTE + 1, MINUTE + 51) if min(minutes) <= minute <= max(minutes)]
        return frame(*rows, *bursts).with_columns(live=pl.col("count"))


def test_an_event_of_another_brand_in_the_time_of_an_ended_alert_leaves_the_open_one_as_it_is() -> None:
    many = {"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "5m"}
    evaluator = Evaluator(Bursts([]), Alerts.model_validate({"rules": [many]}))
    evaluator.start(at(MINUTE), 0)
    for minute in range(52):
        evaluator.tick(at(MINUTE + minute, 20))
    (before,) = evaluator.lifecycle.open
    assert (before.scope.brand, before.since) == ("Acme", at(MINUTE + 51))
    evaluator.ingest([Signal(touched={at(MINUTE + 3): ("Other",)})], at(MINUTE + 51, 21))
    assert evaluator.tick(at(MINUTE + 51, 22)) == []
    assert evaluator.lifecycle.open == [before]
