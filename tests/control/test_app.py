"""The process without a server: other rules while it leads and while it stands by; its end by an error or by a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import leading, migrate
from pipeline.config.apis import ControlSettings
from pipeline.config.outgoing import OutgoingSettings
from pipeline.config.settings import Settings
from pipeline.control import app as app_module
from pipeline.control.app import Control
from pipeline.errors import SettingsError
from pipeline.fence import GivenUp
from pipeline.monitoring import metrics
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.windows import Windows
from pipeline.processors.mentions.brands import BrandNames
from schemas.times import utc_now
from tests.support.control_parts import MemoryStore, MemoryTerms, MemoryTopic

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
    monkeypatch.setattr(app_module, "keep_asking", lambda client, vitals, sql: None)
    monkeypatch.setattr(app_module, "AlertTables", lambda inserter: MemoryStore([]))
    monkeypatch.setattr(app_module, "AlertTopic", lambda client, topic: MemoryTopic([]))
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump(OLD))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    control = Control(Settings(alerts=file, control=ControlSettings(port=0)))
    control._rollups.run = idle  # type: ignore[method-assign]
    control._calendars.run = idle  # type: ignore[method-assign]
    control._rates.run = idle  # type: ignore[method-assign]
    control._in_force.run = idle  # type: ignore[method-assign]
    return control


async def idle(generation: int = 0) -> None:
    """Work that has nothing to do."""
    await asyncio.sleep(60)


def test_a_ca_file_that_is_missing_is_named_before_anything_is_reached(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="^setting outgoing.ca_file: .*none.pem: No such file or directory$"):
        Control(Settings(outgoing=OutgoingSettings(ca_file=tmp_path / "none.pem")))


class Consumer:
    """Stands for the Faust app: it assigns the partition when it starts."""

    def __init__(self, control: Control) -> None:
        self._lease = control._leader.lease
        self.log: list[str] = []
        self.crash_reason: BaseException | None = None
        self.hangs = False

    async def start(self) -> None:
        self._lease.assigned(True)
        self._lease.confirmed(self._lease.now(), 600)

    async def stop(self) -> None:
        self.log.append("stopped")
        if self.hangs:
            await asyncio.sleep(60)


def run_with(control: Control, background: Callable[[Consumer], None]) -> None:
    """Runs the process, which leads, until it ends; `background` runs beside the evaluation."""
    consumer, terms = Consumer(control), MemoryTerms()

    async def run() -> None:
        assert control._vitals.unready() == []
        background(consumer)
        await asyncio.sleep(60)

    control._app = consumer  # type: ignore[assignment]
    control._leader._terms = terms  # type: ignore[assignment]
    control._campaigns.run = run  # type: ignore[method-assign]
    try:
        control.run()
    finally:
        assert consumer.log == ["stopped"] and terms.log == ["take 1", "release 1"]
        with pytest.raises(GivenUp):
            control._leader.check()


def test_a_signal_ends_it_with_its_term_handed_over(control: Control) -> None:
    run_with(control, lambda consumer: os.kill(os.getpid(), signal.SIGTERM))


def test_an_error_in_the_background_ends_it(control: Control) -> None:
    def fail(consumer: Consumer) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_with(control, fail)


@pytest.mark.logs_errors
def test_an_error_is_said_also_where_the_consumer_does_not_end(
    control: Control, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka's consumer hangs now and then: the process is ended then, and else nobody would know why."""

    def fail(consumer: Consumer) -> None:
        consumer.hangs = True
        raise ZeroDivisionError("nothing divides by it")

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(leading, "STOP_S", 0.05)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit) as ended:
        run_with(control, fail)
    assert ended.value.code == 1
    assert "nothing divides by it" in caplog.text and "Traceback" in caplog.text


def test_an_error_that_meets_a_signal_is_raised(control: Control) -> None:
    async def fail_as_it_ends() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ZeroDivisionError

    def end(consumer: Consumer) -> None:
        control._leader.start(fail_as_it_ends())
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(ZeroDivisionError):
        run_with(control, end)


def test_the_end_of_its_consumer_ends_it(control: Control) -> None:
    def crash(consumer: Consumer) -> None:
        consumer.crash_reason = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        run_with(control, crash)


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
    assert not await control.use(LACKING)
    assert control._evaluator.config is before
    assert metrics.RULES.stale._value.get() == 1
    metrics.RULES.stale.set(0)


async def test_time_zones_of_brands_are_in_force_at_once_and_stay(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Windows, "learn", lambda windows, query, minute: None)
    zones = {"Acme": "Europe/Berlin"}
    await control.use(Alerts.model_validate({"rules": [{"name": "volume", "type": "spike"}]}))
    control._evaluator.start(utc_now(), 0)
    await control.use_brands(BrandNames(["Acme"], zones, {}))
    for _ in range(2):
        (ring,) = control._evaluator.windows.rings.values()
        assert control._evaluator.zones == ring.table.zones == zones
        control._evaluator.start(utc_now(), 0)  # another process led meanwhile


def test_brands_that_cannot_be_read_at_the_start_are_one_line(control: Control, tmp_path: Path) -> None:
    file = tmp_path / "brands.yaml"
    file.write_text("brands: [{name: Acme, zone: Europe/Belin}]")
    with pytest.raises(SettingsError, match="brands.0 .Acme.: zone: there is no time zone 'Europe/Belin', did you mean"):
        Control(control._settings.model_copy(update={"brands": file}))
