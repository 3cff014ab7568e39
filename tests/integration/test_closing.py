"""A consumer that leaves while an assignment waits for its next poll."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.kafka.consumer import consumer_config
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.worker.offsets import Offsets
from tests.support.worker import wait_for


@pytest.mark.usefixtures("kafka")
def test_an_assignment_that_comes_while_closing_gives_nothing_up(settings: Settings) -> None:
    """librdkafka never answers a question for committed offsets then: it would wait for its whole time limit."""
    migrate(settings)
    kafka = settings.kafka
    seeded: list[object] = []

    def seed(assigned: object) -> object:
        seeded.append(assigned)
        return lambda places: None

    offsets = Offsets(
        Fence(), Vitals(), seed, lambda partitions: None, lambda s: True, lambda s: True  # type: ignore[arg-type]
    )  # fmt: skip
    consumer = Consumer({**consumer_config(kafka), "log_level": 0})
    offsets.open(consumer, kafka.topic("events"), lambda topic, partition, offset: offset)
    admin = AdminClient({**kafka.client(), "log_level": 0})

    def assigned() -> bool:
        try:
            group = admin.describe_consumer_groups([kafka.group])[kafka.group].result(10)
            return bool(group.state == ConsumerGroupState.STABLE)
        except KafkaException:
            return False  # the broker still loads its groups

    # It joins without a poll; the assignment is called back by the next one, or by closing.
    wait_for("the group is stable", assigned)
    offsets.close()
    assert not offsets.given_up
    assert not seeded
