"""Asks Kafka whether it answers, again and again, by a client that is kept: one request, however many topics there are."""

from __future__ import annotations

from confluent_kafka import KafkaException

from pipeline.kafka.client import kafka_reason
from pipeline.kafka.producer import RenewedProducer


def why_silent(client: RenewedProducer, topic: str, timeout_s: float = 2.0) -> str:
    """The reason why Kafka does not answer about the topic; blank: it answers."""
    client.poll(0)
    try:
        client.list_topics(topic, timeout_s)
    except KafkaException as error:
        client.poll(0)  # it delivers the reason, where librdkafka knows more than "no answer"
        return client.trouble or kafka_reason(error)
    client.trouble = ""
    return ""
