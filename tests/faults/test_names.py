"""Sources that name a great many brands: control keeps within its memory, and hears the one of which much is said."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.processors.alerts.rules import DEFAULT_RULES
from schemas.signals import Signal, dump
from tests.support.control import controlled, fresh, on_record, start_control
from tests.support.worker import Worker, wait_for

NAMES = 30_000
MOST_MB, TICK_S, TICKS = 300, 0.1, 20


def say(client: Client, brand: str, count: int, when: str) -> None:
    """Mentions of `brand`, at the times of `when`: SQL in which `number` counts them."""
    client.command(
        "INSERT INTO interactions (event_key, revision, version, platform, kind, created_at, occurred_at, ingested_at, brands, "
        f"text, sentiment_status, sentiment_label) SELECT cityHash64('{when}', {brand}, number), number, 1, "
        f"concat('p', toString(number % 5)), 'review', {when} AS at, at, at, [{brand}], 'fine', 'labelled', 'positive' "
        f"FROM numbers({count})"
    )


def metric(control: Worker, name: str) -> float:
    lines = control.ask("/metrics")[1].splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))


def tell(settings: Settings, *brands: str) -> None:
    """As a worker does, that something of these brands landed in this minute."""
    now = datetime.now(UTC)
    producer = Producer(settings.kafka.client())
    for record in dump(Signal(newest=now, touched={now.replace(second=0, microsecond=0): brands})):
        producer.produce(settings.kafka.topic("signals"), record)
    producer.flush(10)


@pytest.mark.faults
def test_thirty_thousand_names_and_the_one_that_matters(kafka: Stack, tmp_path: Path) -> None:
    name = f"concat('name-', toString(number % {NAMES}))"
    with fresh(kafka, tmp_path) as plain, clickhouse_client(plain.clickhouse) as client:
        settings = controlled(plain, DEFAULT_RULES)
        for day in range(0, 28, 7):
            say(client, name, NAMES, f"now64(3) - INTERVAL {day} DAY - INTERVAL 2 HOUR - toIntervalSecond(number % 80000)")
        say(client, name, 3 * NAMES, "now64(3) - toIntervalSecond(number % 3500)")
        control = start_control(settings, tmp_path / "control.log")
        try:
            control.wait_ready()
            end = time.monotonic() + TICKS
            while time.monotonic() < end:
                tell(settings, *(f"name-{n}" for n in range(200)))
                time.sleep(0.5)
            quick = metric(control, f'earshot_alert_evaluation_seconds_bucket{{le="{TICK_S}"}}')
            assert quick >= metric(control, "earshot_alert_evaluation_seconds_count") / 2
            assert metric(control, "earshot_alert_scopes") >= 2 * NAMES
            assert metric(control, "earshot_alert_scopes_left_out_total") == 0
            say(client, "'name-77'", 80, "now64(3)")
            tell(settings, "name-77")
            wait_for("it alerts", lambda: any(row.rule == "volume" for row in on_record(settings, "brand = 'name-77'")))
            assert metric(control, "process_resident_memory_bytes") < MOST_MB * 1e6
        finally:
            control.close()
