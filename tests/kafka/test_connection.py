"""A consumer without a broker: the reason in /ready, and a log that it does not fill."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from pipeline.kafka.connection import Connection
from pipeline.monitoring.health import Vitals


def test_a_refused_login_is_named_by_ready_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    vitals = Vitals()
    connection = Connection(vitals)
    for milliseconds in range(20):
        connection.failed(
            KafkaError(KafkaError._AUTHENTICATION, f"broker:9093: refused (after {milliseconds}ms in state AUTH_REQ)")
        )
    assert vitals.unready() == []  # another broker may still answer
    connection.failed(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert vitals.unready() == ["kafka: no broker answers: broker:9093: refused"]
    assert caplog.messages == ["Kafka: broker:9093: refused"]

    connection.answered()
    assert vitals.unready() == []
    connection.lost()
    assert vitals.unready() == ["kafka: no broker answers"]


def test_another_kind_of_error_is_logged_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection(Vitals())
    for code in (KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._TRANSPORT):
        connection.failed(KafkaError(code, f"error {code}"))
    expected = (KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert caplog.messages == [f"Kafka: error {code}" for code in expected]
