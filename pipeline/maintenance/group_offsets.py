"""The consumer group's offsets in topic events, read from outside the group, and records that Kafka lost before they were read.

A worker does not read a partition whose committed offset Kafka has lost (worker/offsets.py). `accept_loss` records the lost
range and moves the committed offset to the first that exists; nothing else moves it over a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_server
from pipeline.clickhouse.query import one_line
from pipeline.config.settings import ClickHouseSettings, KafkaSettings
from pipeline.errors import MigrationError
from pipeline.kafka.client import check_kafka
from pipeline.kafka.outside import committed, kafka_errors, outside


class Lost(NamedTuple):
    """Offsets that Kafka lost before they were read. `next` is the first that exists, from which reading can continue."""

    topic: str
    partition: int
    first: int
    last: int | None
    """None: unknown, since the partition ends before the committed offset (an older copy, or another topic)."""
    next: int

    @property
    def reason(self) -> str:
        """The loss in words."""
        if self.last is None:
            return f"the partition ends before the committed offset {self.first}"
        return f"offsets {self.first} to {self.last} are not in Kafka any more"

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}: {self.reason}"


class PartitionState(NamedTuple):
    """A partition's offsets. `committed` is None if the group has none yet: the whole partition is unread."""

    topic: str
    partition: int
    first: int
    end: int
    committed: int | None

    @property
    def lag(self) -> int:
        """Records that exist and are unread."""
        known = self.committed is not None and self.first <= self.committed <= self.end
        return self.end - (self.committed if known and self.committed is not None else self.first)

    @property
    def lost(self) -> Lost | None:
        """The lost range; None if nothing is lost."""
        if self.committed is None or self.first <= self.committed <= self.end:
            return None
        last = self.first - 1 if self.committed < self.first else None
        return Lost(self.topic, self.partition, self.committed, last, self.first)


def states(consumer: Consumer, topic: str, partitions: int) -> list[PartitionState]:
    """The state of each partition. Raises KafkaException."""
    result = []
    asked = [TopicPartition(topic, partition) for partition in range(partitions)]
    for each in committed(consumer, asked) if asked else []:
        first, end = consumer.get_watermark_offsets(each, timeout=10)
        result.append(PartitionState(topic, each.partition, first, end, each.offset if each.offset >= 0 else None))
    return result


def events_states(kafka: KafkaSettings) -> list[PartitionState]:
    """The partitions of topic events. Raises UnreachableError without a broker, MigrationError without the topic."""
    topic = kafka.topic("events")
    partitions = check_kafka(kafka).get(topic)
    if partitions is None:
        raise MigrationError(f"Kafka at {kafka.bootstrap} has no topic {topic}: run `earshot migrate`")
    with kafka_errors(kafka), outside(kafka) as consumer:
        return states(consumer, topic, partitions)


# --- accepting a loss -----------------------------------------------------------------------------------------------
def check_idle(kafka: KafkaSettings, lost: Sequence[Lost]) -> None:
    """Raises EarshotError while a worker is in the group: Kafka then refuses commits from outside."""
    _commit(kafka, [TopicPartition(loss.topic, loss.partition, loss.first) for loss in lost])


def accept_loss(kafka: KafkaSettings, clickhouse: ClickHouseSettings, lost: Sequence[Lost]) -> None:
    """Records the losses in table lost_offsets, then commits the first offsets that exist.

    After a kill in between, the loss can be accepted again, which replaces its row. Raises EarshotError while a worker is in
    the group, UnreachableError if Kafka or ClickHouse can't be reached.
    """
    check_idle(kafka, lost)
    now = datetime.now(UTC)
    rows = [[loss.topic, loss.partition, loss.first, loss.last, loss.reason, now] for loss in lost]
    columns = ["topic", "partition", "first", "last", "reason", "accepted_at"]
    with closing(clickhouse_client(clickhouse)) as client, one_line(client):
        check_server(client)
        client.insert("lost_offsets", rows, column_names=columns)
    _commit(kafka, [TopicPartition(loss.topic, loss.partition, loss.next) for loss in lost])


def _commit(kafka: KafkaSettings, offsets: list[TopicPartition]) -> None:
    with kafka_errors(kafka), outside(kafka) as consumer:
        for partition in consumer.commit(offsets=offsets, asynchronous=False):
            if partition.error is not None:
                raise KafkaException(partition.error)
