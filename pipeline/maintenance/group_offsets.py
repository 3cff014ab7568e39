"""How far the consumer group is in topic events, seen from outside the group, and what Kafka lost before it was read.

A worker holds a partition whose committed offset Kafka has no longer (worker/offsets.py). `accept_loss` records what is gone
and moves the committed offset to the first that exists; nothing else moves it over a gap.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_server
from pipeline.clickhouse.query import one_line
from pipeline.config.settings import ClickHouseSettings, KafkaSettings
from pipeline.errors import EarshotError, MigrationError, UnreachableError
from pipeline.kafka.client import check_kafka, kafka_reason

_NO_COORDINATOR_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


class Lost(NamedTuple):
    """Offsets that Kafka lost before they were read. `next` is the first that exists, where reading can go on."""

    topic: str
    partition: int
    first: int
    last: int | None
    """None: not known, the partition ends before the committed offset (an older copy of it, or another topic's)."""
    next: int

    @property
    def reason(self) -> str:
        if self.last is None:
            return f"the partition ends before the committed offset {self.first}"
        return f"offsets {self.first} to {self.last} are not in Kafka any more"

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}: {self.reason}"


class PartitionState(NamedTuple):
    """`committed` is None where the group has none yet: all that the partition holds is still to be read."""

    topic: str
    partition: int
    first: int
    end: int
    committed: int | None

    @property
    def lag(self) -> int:
        """Records that are there and not read."""
        known = self.committed is not None and self.first <= self.committed <= self.end
        return self.end - (self.committed if known and self.committed is not None else self.first)

    @property
    def lost(self) -> Lost | None:
        if self.committed is None or self.first <= self.committed <= self.end:
            return None
        last = self.first - 1 if self.committed < self.first else None
        return Lost(self.topic, self.partition, self.committed, last, self.first)


@contextmanager
def outside(kafka: KafkaSettings) -> Iterator[Consumer]:
    """A consumer with the group's id that never subscribes, so joins nothing.

    (The admin client's list_consumer_group_offsets of confluent-kafka 2.16 crashes the process while a fresh broker has no
    coordinator yet.)
    """
    config: dict[str, Any] = {**kafka.client(), "group.id": kafka.group, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer(config)
    try:
        yield consumer
    finally:
        consumer.close()


def states(consumer: Consumer, topic: str, partitions: int) -> list[PartitionState]:
    """Each partition as the broker has it. Raises KafkaException."""
    found = []
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    for place in _committed(consumer, places) if places else []:
        first, end = consumer.get_watermark_offsets(place, timeout=10)
        found.append(PartitionState(topic, place.partition, first, end, place.offset if place.offset >= 0 else None))
    return found


def events_states(kafka: KafkaSettings) -> list[PartitionState]:
    """The partitions of topic events. Raises UnreachableError without a broker, MigrationError without the topic."""
    topic = kafka.topic("events")
    partitions = check_kafka(kafka).get(topic)
    if partitions is None:
        raise MigrationError(f"Kafka at {kafka.bootstrap} has no topic {topic}: run `earshot migrate`")
    with _kafka_errors(kafka), outside(kafka) as consumer:
        return states(consumer, topic, partitions)


def _committed(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """Asks again while a broker that has just started is still finding the group's coordinator."""
    end = time.monotonic() + 10
    while True:
        try:
            return consumer.committed(places, timeout=10)
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR_YET or time.monotonic() > end:
                raise
            time.sleep(0.2)


# --- accepting a loss -----------------------------------------------------------------------------------------------
def check_idle(kafka: KafkaSettings, lost: Sequence[Lost]) -> None:
    """Raises EarshotError while a worker is in the group, for Kafka takes no commits from outside then."""
    _commit(kafka, [TopicPartition(loss.topic, loss.partition, loss.first) for loss in lost])


def accept_loss(kafka: KafkaSettings, clickhouse: ClickHouseSettings, lost: Sequence[Lost]) -> None:
    """Records the losses in table lost_offsets, then commits the first offsets that exist.

    Killed in between, the loss is there to be accepted again, which replaces its row. Raises EarshotError while a worker is
    in the group, UnreachableError when either side can't be reached.
    """
    check_idle(kafka, lost)
    now = datetime.now(UTC)
    rows = [[loss.topic, loss.partition, loss.first, loss.last, loss.reason, now] for loss in lost]
    columns = ["topic", "partition", "first", "last", "reason", "accepted_at"]
    with closing(clickhouse_client(clickhouse)) as client, one_line(client):
        check_server(client)
        client.insert("lost_offsets", rows, column_names=columns)
    _commit(kafka, [TopicPartition(loss.topic, loss.partition, loss.next) for loss in lost])


def _commit(kafka: KafkaSettings, places: list[TopicPartition]) -> None:
    with _kafka_errors(kafka), outside(kafka) as consumer:
        for place in consumer.commit(offsets=places, asynchronous=False):
            if place.error is not None:
                raise KafkaException(place.error)


@contextmanager
def _kafka_errors(kafka: KafkaSettings) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS):
            raise EarshotError(
                f"stop the workers of group {kafka.group} first: Kafka takes no offsets while one runs"
            ) from None
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {kafka_reason(error)}") from None
