"""The process without a server: other rules while it leads and while it stands by."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import migrate
from pipeline.config.settings import Settings
from pipeline.control import app as app_module
from pipeline.control.app import Control
from pipeline.monitoring import metrics
from pipeline.processors.alerts.rules import Alerts
from schemas.times import utc_now
from tests.support.control_parts import MemoryStore

OLD = {"rules": [{"name": "old", "type": "keyword", "words": {"en": ["recall"]}}]}
NEW = Alerts.model_validate({"rules": [{"name": "new", "type": "keyword", "words": {"en": ["recall"]}}]})
LACKING = Alerts.model_validate({**OLD, "receivers": [{"name": "ops", "type": "webhook", "url_env": "NO_SUCH_VARIABLE"}]})


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Control:
    """A control that reaches nobody."""

    def client(*_: object, **__: object) -> Any:
        return None

    monkeypatch.setattr(migrate, "check", lambda settings: None)
    monkeypatch.setattr(app_module, "clickhouse_client", client)
    monkeypatch.setattr(app_module, "AlertTables", lambda inserter: MemoryStore([]))
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump(OLD))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return Control(Settings(alerts=file))


async def test_rules_that_come_while_it_stands_by_are_kept_for_when_it_leads(control: Control) -> None:
    windows = control._evaluator.windows
    await control.use(NEW)
    assert control._evaluator.config is NEW
    assert control._evaluator.windows is windows, "nothing is read before it leads"
    control._evaluator.start(utc_now(), 0)
    assert control._evaluator.lifecycle.config is NEW


async def test_rules_that_come_while_it_leads_are_in_force_at_once(control: Control) -> None:
    control._leader.lease.assigned(True)
    control._leader.lease.confirmed(control._leader.lease.now(), 600)
    generation = control._leader.lease.generation
    control._evaluator.start(utc_now(), generation)
    windows = control._evaluator.windows
    with control._leader.serving(generation):
        await control.use(NEW)
    assert control._evaluator.lifecycle.config is NEW and control._evaluator.windows is not windows


@pytest.mark.logs_errors
@pytest.mark.parametrize("leads", [False, True])
async def test_rules_whose_receivers_cannot_be_used_are_refused(control: Control, leads: bool) -> None:
    before = control._evaluator.config
    if leads:
        control._evaluator.start(utc_now(), 0)
    await control.use(LACKING)
    assert control._evaluator.config is before
    assert metrics.RULES.stale._value.get() == 1
    metrics.RULES.stale.set(0)
