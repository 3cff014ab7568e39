"""Creates the topics that the settings ask for."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from pipeline.config.settings import DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, KafkaSettings
from pipeline.errors import UnreachableError
from pipeline.kafka.client import check_kafka, kafka_admin, kafka_reason


def topic_configs(kafka: KafkaSettings) -> dict[str, dict[str, str]]:
    """Each topic's configuration."""
    per_partition = kafka.retention_bytes // kafka.partitions if kafka.retention_bytes > 0 else kafka.retention_bytes
    common = {"retention.ms": str(kafka.retention_ms), "retention.bytes": str(per_partition)}
    if kafka.replication > 2:
        common["min.insync.replicas"] = "2"  # else `acks=all` may mean one broker
    return {
        kafka.topic("events"): {**common, "max.message.bytes": str(MAX_MESSAGE_BYTES)},
        kafka.topic("dead-letter"): {**common, "max.message.bytes": str(DEAD_LETTER_BYTES)},
        kafka.topic("signals"): common,
        kafka.topic("alerts"): common,
        # One partition has it all: an import of a million records must not push evidence out that nobody has read yet.
        kafka.topic("identity"): {**common, "retention.bytes": str(kafka.retention_bytes)},
        kafka.topic("customers"): common,
        # The newest record of each source stays; old ones go soon, as each start of a listener reads all.
        kafka.topic("cursors"): {
            **{name: value for name, value in common.items() if not name.startswith("retention")},
            "cleanup.policy": "compact",
            "segment.ms": str(10 * 60_000),
            "min.cleanable.dirty.ratio": "0.1",
        },
    }


def topic_partitions(kafka: KafkaSettings, name: str) -> int:
    """How many partitions the topic gets. One: a single process reads it, the leader, or its records have one order."""
    return 1 if name in map(kafka.topic, ("signals", "identity", "customers")) else kafka.partitions


def migrate_topics(kafka: KafkaSettings) -> list[str]:
    """Creates missing topics. Existing ones stay as they are; the lines say where they differ from the settings."""
    existing = check_kafka(kafka)
    admin = kafka_admin(kafka)
    lines = []
    for name, config in topic_configs(kafka).items():
        try:
            if name not in existing:
                lines.append(_create(admin, kafka, name, config))
            else:
                lines += _differences(admin, name, existing[name], topic_partitions(kafka, name), config)
        except KafkaException as error:
            raise UnreachableError(f"Kafka at {kafka.bootstrap}, topic {name}: {kafka_reason(error)}") from None
    _wait_until_known(kafka)
    return lines or ["Kafka: up to date"]


def _wait_until_known(kafka: KafkaSettings) -> None:
    """A broker reports a topic as created a moment before it knows the topic; a worker that starts then would fail."""
    end = time.monotonic() + 10
    while missing := set(topic_configs(kafka)) - set(check_kafka(kafka)):
        if time.monotonic() > end:
            raise UnreachableError(f"Kafka at {kafka.bootstrap}: created {', '.join(missing)}, but does not know it after 10 s")
        time.sleep(0.05)


def _create(admin: AdminClient, kafka: KafkaSettings, name: str, config: dict[str, str]) -> str:
    partitions = topic_partitions(kafka, name)
    topic = NewTopic(name, partitions, kafka.replication, config=config)
    try:
        admin.create_topics([topic], operation_timeout=10)[name].result(20)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return f"Kafka: topic {name} was created by another process meanwhile"
    return f"Kafka: created topic {name}, partitions {partitions}, replication {kafka.replication}"


def _differences(admin: AdminClient, name: str, partitions: int, wanted: int, config: dict[str, str]) -> list[str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    entries = admin.describe_configs([resource])[resource].result(10)
    actual = {key: entries[key].value for key in config if key in entries}
    lines = [f"{key} is {actual[key]}, the settings say {config[key]}" for key in actual if actual[key] != config[key]]
    if partitions != wanted:
        lines.insert(0, f"it has {partitions} partitions, the settings say {wanted}")
    return [f"Kafka: topic {name} is left as it is: {line}" for line in lines]
