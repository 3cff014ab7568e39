"""The topic as the tests see it: producing the load, reading back what lies there, the group's lag."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import xxhash
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from pipeline.config.settings import KafkaSettings
from tests.support.load import Message

Position = tuple[str, int, int]
TIMEOUT = 60.0
NO_LEADER_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)  # fmt: skip
"""What the broker says of a partition of a topic that was made just now; librdkafka does not call it retriable."""


def produce(kafka: KafkaSettings, messages: Iterable[Message], rate: float = float("inf")) -> None:
    """Produces and waits for every acknowledgement, `rate` messages a second at most; the broker may come and go meanwhile."""
    failed: list[str] = []

    def delivered(error: object, _: KafkaMessage) -> None:
        if error:
            failed.append(str(error))

    producer = Producer(
        {
            **kafka.client(),
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "message.max.bytes": 20_000_000,
            "compression.type": "zstd",
            "log_level": 0,
        }
    )
    started = time.monotonic()
    for place, message in enumerate(messages):
        while time.monotonic() - started < place / rate:
            producer.poll(0.005)
        producer.produce(kafka.topic("events"), message.payload, message.key, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(TIMEOUT)
    assert not left and not failed, f"{left} messages not delivered, {len(failed)} failed: {failed[:3]}"


def positions(kafka: KafkaSettings, messages: Iterable[Message]) -> dict[Position, Message]:
    """Each position of the topic with the message that lies there; the topic must hold no other, and each at least once.

    Read from the topic and not from the delivery reports: after a broker's restart these may lack the offset.
    """
    by_content = {xxhash.xxh3_128_digest(message.payload): message for message in messages}
    found: dict[Position, Message] = {}
    for record in read_topic(kafka, kafka.topic("events")):
        message = by_content[xxhash.xxh3_128_digest(record.value() or b"")]
        found[str(record.topic()), int(record.partition() or 0), int(record.offset() or 0)] = message
    assert len({m.record for m in found.values()}) == len(by_content), "the topic lacks messages that were acknowledged"
    return found


def read_topic(kafka: KafkaSettings, topic: str) -> Iterator[KafkaMessage]:
    """Every message of a topic, from its beginning to its end."""
    ends = end_offsets(kafka, topic)
    consumer = Consumer({**kafka.client(), "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
    try:
        left = {partition for partition, (low, high) in ends.items() if high > low}
        consumer.assign([TopicPartition(topic, partition, ends[partition][0]) for partition in left])
        deadline = time.monotonic() + TIMEOUT
        while left:
            for message in consumer.consume(10_000, 0.05):
                if message.error():
                    raise KafkaException(message.error())
                yield message
                if (message.offset() or 0) + 1 >= ends[message.partition() or 0][1]:
                    left.discard(message.partition() or 0)
            assert time.monotonic() < deadline, f"{topic}: partitions {left} not read to their end"
    finally:
        consumer.close()


def set_topic(kafka: KafkaSettings, topic: str, name: str, value: object) -> None:
    """Sets one configuration of the topic; returns when the broker has it in force."""
    resource = ConfigResource("topic", topic)
    resource.incremental_configs = [ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)]
    admin = AdminClient({**kafka.client(), "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    asked = ConfigResource("topic", topic)
    while admin.describe_configs([asked])[asked].result(TIMEOUT)[name].value != str(value):
        assert time.monotonic() < deadline, f"{topic} has not taken {name}"
        time.sleep(0.05)


def delete_topic(kafka: KafkaSettings, topic: str) -> None:
    admin = AdminClient({**kafka.client(), "log_level": 0})
    admin.delete_topics([topic])[topic].result(TIMEOUT)


def end_offsets(kafka: KafkaSettings, topic: str) -> dict[int, tuple[int, int]]:
    """Partition -> first offset and end offset."""
    consumer = Consumer({**kafka.client(), "group.id": "reader", "log_level": 0})
    try:
        found = consumer.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions
        return {partition: _offsets(consumer, TopicPartition(topic, partition)) for partition in found}
    finally:
        consumer.close()


def _offsets(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Waits where the topic was made just now, and no broker leads the partition yet."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() not in NO_LEADER_YET or time.monotonic() > end:
                raise
        time.sleep(0.1)


def lag(kafka: KafkaSettings) -> dict[int, str]:
    """The partitions that the group has not committed to their end; raises KafkaException while the broker doesn't answer."""
    topic = kafka.topic("events")
    consumer = Consumer({**kafka.client(), "group.id": kafka.group, "enable.auto.commit": False, "log_level": 0})
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.list_topics(topic, timeout=5).topics[topic].partitions]
        committed = consumer.committed(partitions, timeout=5)
        ends = [consumer.get_watermark_offsets(p, timeout=5) for p in partitions]
        behind = [(p, high) for p, (low, high) in zip(committed, ends, strict=True) if max(p.offset, low) < high]
        return {p.partition: f"committed {p.offset}, end {high}" for p, high in behind}
    finally:
        consumer.close()
