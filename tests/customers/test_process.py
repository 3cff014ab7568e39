"""`earshot customers` as a process: evidence of Kafka becomes customers; killed, another one goes on."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from confluent_kafka import Producer

from pipeline.config.apis import CustomersSettings
from pipeline.config.settings import Settings
from pipeline.customers.app import CustomersProcess
from pipeline.embedded.child import free_port
from pipeline.kafka import client
from pipeline.migrate import migrate
from schemas.evidence import dump
from tests.support.customers import House, emails
from tests.support.topics import read_topic
from tests.support.worker import Worker, wait_for


def send(settings: Settings, *records: bytes, topic: str = "identity") -> None:
    producer = Producer({**settings.kafka.client(), "log_level": 0})
    for record in records:
        producer.produce(settings.kafka.topic(topic), record)
    assert producer.flush(30) == 0


def start(settings: Settings, log: Path) -> Worker:
    port = free_port()
    own = settings.model_copy(update={"customers": CustomersSettings(port=port)})
    return Worker(own, log, port=port, command=("-m", "pipeline.cli", "customers"))


def moves(settings: Settings) -> int:
    return sum(
        b"profile" in (record.value() or b"") for record in read_topic(settings.kafka, settings.kafka.topic("customers"))
    )


def test_evidence_becomes_customers_whoever_leads(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    send(
        settings, b'{"sequence": %d}' % (9 << 40), topic="customers"
    )  # the database is restored from a backup: the topic is ahead
    house = House(settings)
    first = start(settings, tmp_path / "first.log")
    second = None
    try:
        first.wait_ready()
        send(settings, *dump(emails((1, 9), (2, 9))), b"no evidence", *dump(emails((3, 9), (4, 8)), imported=True))
        wait_for("three are one customer", lambda: house.customers() == {1: 1, 2: 1, 3: 1})
        wait_for("the topic has the moves", lambda: moves(settings) == 2)
        assert "earshot_identity_records_unreadable_total 1.0" in first.ask("/metrics")[1]

        second = start(settings, tmp_path / "second.log")
        wait_for("it stands by", lambda: second.said("stands by"))
        first.kill()
        send(settings, *dump(emails((1, 9), (4, 9))))
        wait_for("another one leads", lambda: house.customers() == {1: 1, 2: 1, 3: 1, 4: 1})
        wait_for("and says what moved", lambda: moves(settings) == 3)
        of_dictionary = "SELECT dictGet('customer_of', 'customer_key', toUInt64(4))"
        wait_for("the dictionary is loaded", lambda: house.rows(of_dictionary) == [(1,)])
        assert second.stop() == 0
    finally:
        first.close()
        if second:
            second.close()


def test_kafka_is_asked_by_one_client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every five seconds it made a client, which asked for all topics: thousands, where others share the cluster."""

    def another(config: object) -> NoReturn:
        raise AssertionError("a client for a question")

    migrate(settings)
    process = CustomersProcess(settings)
    monkeypatch.setattr(client, "AdminClient", another)
    assert process._ask_kafka() == process._ask_kafka() == ""
