"""Topic alerts: what it does not get is counted, and holds nobody."""

from __future__ import annotations

from typing import cast

from confluent_kafka import Message

from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.kafka.topics import migrate_topics
from pipeline.monitoring import metrics
from pipeline.sinks.alerts import AlertTopic
from tests.support.control_api import alert
from tests.support.topics import read_topic, set_topic


def missed() -> float:
    return cast(float, metrics.REGISTRY.get_sample_value("earshot_alerts_missed_by_topic_total"))


def rules(settings: Settings) -> list[str]:
    return [(m.value() or b"").split(b'"rule":"')[1].split(b'"')[0].decode() for m in _there(settings)]


def _there(settings: Settings) -> list[Message]:
    return list(read_topic(settings.kafka, settings.kafka.topic("alerts")))


def test_a_change_that_is_too_large_costs_no_other(settings: Settings) -> None:
    migrate_topics(settings.kafka)
    topic, before = AlertTopic(settings.kafka.client(), settings.kafka.topic("alerts")), missed()
    topic.send([alert("one"), alert("large", summary="x" * 2_000_000), alert("two")])
    topic.close()
    assert sorted(rules(settings)) == ["one", "two"] and missed() - before == 1


def test_a_producer_that_met_a_fatal_error_is_replaced(kafka: Stack, settings: Settings) -> None:
    migrate_topics(settings.kafka)
    set_topic(settings.kafka, settings.kafka.topic("alerts"), "max.message.bytes", 20_000)
    client = {**settings.kafka.client(), "enable.gapless.guarantee": True}
    topic, before = AlertTopic(client, settings.kafka.topic("alerts")), missed()
    for rule, size in (("one", 0), ("large", 50_000), ("two", 0)):
        topic.send([alert(rule, summary="x" * size)])
        topic.close()
    assert topic.ask() == ""
    assert sorted(rules(settings)) == ["one", "two"] and missed() - before == 1


def test_what_is_on_its_way_when_control_ends_counts(kafka: Stack, settings: Settings) -> None:
    migrate_topics(settings.kafka)
    topic, before = AlertTopic(settings.kafka.client(), settings.kafka.topic("alerts")), missed()
    with kafka.paused("kafka"):
        topic.send([alert("one"), alert("two")])
        topic.close()
    assert missed() - before == 2
