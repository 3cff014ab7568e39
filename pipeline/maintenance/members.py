"""Whether a process of Earshot runs, as Kafka's groups have it."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupState, KafkaException

from pipeline.config.settings import KafkaSettings
from pipeline.errors import ConflictError, UnreachableError
from pipeline.kafka.client import check_kafka, kafka_admin, kafka_reason

PROCESSES = {"": "worker", "-control": "control", "-customers": "customers", "-listen": "listen"}
"""What a group's name ends with -> which processes are in it."""
_ASK_S = 10.0


def check_stopped(kafka: KafkaSettings) -> None:
    """Raises ConflictError while a process is in a group, UnreachableError without a broker. One that was killed is in its
    group for some seconds. A broker that does not tell this user knows of none."""
    check_kafka(kafka)
    admin = kafka_admin(kafka)  # it answers nothing once it is gone
    try:
        listed = admin.list_consumer_groups(request_timeout=_ASK_S).result(2 * _ASK_S).valid
    except (KafkaException, TimeoutError) as error:
        why = kafka_reason(error) if isinstance(error, KafkaException) else "no answer in time"
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {why}") from None
    live = {each.group_id for each in listed if each.state not in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)}
    if running := [process for end, process in PROCESSES.items() if f"{kafka.group}{end}" in live]:
        raise ConflictError(f"stop all processes first: `earshot {'`, `earshot '.join(running)}` runs")
