"""`--topics delete` deletes what all have read, of a real broker, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from confluent_kafka import Producer, TopicPartition

from pipeline.cli.person_topics import said_before
from pipeline.config.settings import Settings
from pipeline.kafka.outside import outside
from pipeline.kafka.topics import migrate_topics
from pipeline.privacy.places.topics import COMPACTED
from pipeline.privacy.topic_records import Cut, delete, plan, told
from pipeline.privacy.topic_times import held_until
from pipeline.rollups.counted import dealt_with
from schemas.times import utc_now
from tests.support.topics import read_topic, set_topic

pytestmark = pytest.mark.usefixtures("kafka")


def produce(settings: Settings, name: str, partition: int, count: int) -> None:
    producer = Producer({**settings.kafka.client(), "log_level": 0})
    for number in range(count):
        producer.produce(settings.kafka.topic(name), f"{partition}-{number}", partition=partition)
    assert producer.flush(60) == 0


def commit(settings: Settings, group: str, name: str, partition: int, offset: int) -> None:
    with outside(settings.kafka, group) as consumer:
        consumer.commit(offsets=[TopicPartition(settings.kafka.topic(name), partition, offset)], asynchronous=False)


def counted(settings: Settings, these: list[Cut]) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    return {cut.topic.removeprefix(f"{settings.kafka.topic_prefix}."): (cut.records, cut.left, cut.held) for cut in these}


def read(settings: Settings) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    return counted(settings, plan(settings.kafka).cuts)


def left(settings: Settings, name: str) -> list[str]:
    return sorted((record.value() or b"").decode() for record in read_topic(settings.kafka, settings.kafka.topic(name)))


def test_what_all_have_read_goes_and_nothing_else(settings: Settings) -> None:
    migrate_topics(settings.kafka)
    kafka = settings.kafka
    produce(settings, "events", 0, 5)
    produce(settings, "events", 1, 2)
    produce(settings, "signals", 0, 3)
    produce(settings, "dead-letter", 0, 2)
    produce(settings, "alerts", 0, 1)
    commit(settings, f"{kafka.group}-control", "signals", 0, 3)
    commit(settings, f"{kafka.group}-rollups", "signals", 0, 9)
    none = read(settings)
    assert none["events"] == (0, 7, (kafka.group,)), "no worker has read anything"
    assert none["signals"] == (0, 3, (f"{kafka.group}-rollups",)), (
        "what the rollups have read is of a topic that was there before"
    )

    commit(settings, kafka.group, "events", 0, 4)
    commit(settings, kafka.group, "events", 1, 2)
    commit(settings, f"{kafka.group}-warehouse", "events", 0, 3)
    commit(settings, f"{kafka.group}-rollups", "signals", 0, 2)
    these, stays = plan(kafka)
    assert counted(settings, these) == {
        "events": (5, 2, (kafka.group, f"{kafka.group}-warehouse")),
        "dead-letter": (2, 0, ()),
        "signals": (2, 1, (f"{kafka.group}-rollups",)),
        "identity": (0, 0, ()),
    }
    delete(kafka, these)
    assert left(settings, "events") == ["0-3", "0-4"] and left(settings, "signals") == ["0-2"]
    assert left(settings, "dead-letter") == [] and left(settings, "alerts") == ["0-0"]
    said = told(held_until(kafka), these, utc_now())
    assert said[kafka.topic("events")].endswith(" UTC (5 records; 2 not read by all yet: no date)")
    assert said[kafka.topic("alerts")] == "no date" and kafka.topic("alerts") in stays

    commit(settings, "steers\x1b[2J\nsocial.events: 0", "events", 0, 4)  # whoever may read names their group as they like
    assert all(line.isprintable() for line in said_before(settings)) and "steers" in "".join(said_before(settings))
    assert dealt_with(kafka, utc_now() - timedelta(hours=1)) and not dealt_with(kafka, utc_now()), "of three signals two"
    commit(settings, f"{kafka.group}-rollups", "signals", 0, 3)
    assert dealt_with(kafka, utc_now())

    set_topic(kafka, kafka.topic("identity"), "cleanup.policy", "compact")
    these, stays = plan(kafka)
    assert [cut.records for cut in these] == [0, 0, 1], "again: what has been read since"
    assert stays[kafka.topic("identity")] == stays[kafka.topic("cursors")] == COMPACTED
