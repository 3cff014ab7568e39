"""A consumer group as seen from outside of it: what it has committed, without joining."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.config.settings import KafkaConfig, KafkaSettings
from pipeline.errors import EarshotError, UnreachableError
from pipeline.kafka.client import kafka_reason

_NO_COORDINATOR_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@contextmanager
def outside(kafka: KafkaSettings, group: str = "") -> Iterator[Consumer]:
    """A consumer with the id of the workers' group, or of another one, that never subscribes, so it does not join the group.

    (The admin client's list_consumer_group_offsets of confluent-kafka 2.16 crashes the process while a fresh broker has no
    coordinator yet.)
    """
    config: KafkaConfig = {**kafka.client(), "group.id": group or kafka.group, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer(config)
    try:
        yield consumer
    finally:
        consumer.close()


def committed(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """The group's offsets of these, negative where it has none. Asks again while a broker that has just started has no
    coordinator for the group yet. Raises KafkaException."""
    end = time.monotonic() + 10
    while True:
        try:
            return consumer.committed(partitions, timeout=10)
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR_YET or time.monotonic() > end:
                raise
            time.sleep(0.2)


@contextmanager
def kafka_errors(kafka: KafkaSettings) -> Iterator[None]:
    """Raises UnreachableError or EarshotError, in one line, in place of KafkaException."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS):
            raise EarshotError(
                f"stop the workers of group {kafka.group} first: Kafka takes no offsets while one runs"
            ) from None
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {kafka_reason(error)}") from None
