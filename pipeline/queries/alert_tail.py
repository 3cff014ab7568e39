"""Follows the changes of alerts in topic `alerts`. Nothing is committed; each reader sees all changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from pipeline.config.settings import KafkaConfig, KafkaSettings
from pipeline.errors import MigrationError, UnreachableError
from pipeline.kafka.client import check_kafka, kafka_reason
from schemas.alerts import Alert, parse_alert

POLL_S, PATIENCE_S = 0.2, 15.0
T = TypeVar("T")


def follow(kafka: KafkaSettings, since: datetime | None = None, stop: threading.Event | None = None) -> Iterator[Alert]:
    """Every change from now on, or from `since` (earlier ones in the order of their time), until `stop`.

    Goes on by itself when the broker comes back. Raises UnreachableError without a broker, MigrationError without the topic.
    """
    topic = kafka.topic("alerts")
    partitions = check_kafka(kafka).get(topic)
    if partitions is None:
        raise MigrationError(f"Kafka at {kafka.bootstrap} has no topic {topic}: run `earshot migrate`")
    consumer = Consumer(tail_config(kafka))
    try:
        begin, ends = _patiently(lambda: _begin(consumer, topic, partitions, since))
        consumer.assign(begin)
        past, whole = list[Alert](), not ends
        while stop is None or not stop.is_set():
            message = consumer.poll(POLL_S)
            alert = None if message is None or message.error() else parse_alert(message.value())
            if not whole:
                past += [alert] if alert else []
                whole = reached(consumer, ends)
                if whole:
                    yield from sorted(past, key=lambda change: (change.changed_at, change.version))
            elif alert is not None:
                yield alert
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {kafka_reason(error)}") from None
    finally:
        consumer.close()


def tail_config(kafka: KafkaSettings) -> KafkaConfig:
    """librdkafka's settings for a reader that commits nothing and is in no group."""
    return {
        **kafka.client(),
        "group.id": "earshot-watch",  # librdkafka wants a group; without commits and subscriptions there is none
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
        "log_level": 0,
        "error_cb": lambda error: None,
    }


def _begin(
    consumer: Consumer, topic: str, partitions: int, since: datetime | None
) -> tuple[list[TopicPartition], dict[int, int]]:  # fmt: skip
    """Where each partition is read from; and, with `since`, partition -> end of the records that are there already."""
    if since is None:
        # Offsets, and not "end": records that come before the first poll count.
        return [
            TopicPartition(topic, n, consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1])
            for n in range(partitions)
        ], {}
    asked = [TopicPartition(topic, n, int(since.timestamp() * 1000)) for n in range(partitions)]
    begin = consumer.offsets_for_times(asked, timeout=10)
    ends = {each.partition: consumer.get_watermark_offsets(each, timeout=10)[1] for each in begin}
    starts = {
        each.partition: ends[each.partition] if each.offset in (OFFSET_END, -1) else each.offset for each in begin
    }  # fmt: skip
    ends = {partition: end for partition, end in ends.items() if starts[partition] < end}
    return [TopicPartition(topic, partition, start) for partition, start in starts.items()], ends


def _patiently(ask: Callable[[], T]) -> T:
    """Asks again for PATIENCE_S: a topic that was just made has no leader yet. Raises KafkaException."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > end:
                raise
            time.sleep(POLL_S)


def reached(consumer: Consumer, ends: Mapping[int, int]) -> bool:
    """Whether all records before these offsets were read, partition by partition."""
    offsets = {each.partition: each.offset for each in consumer.position(consumer.assignment())}
    return all(offsets.get(partition, -1) >= end for partition, end in ends.items())
