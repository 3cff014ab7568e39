"""`earshot person erase --topics delete`: Kafka deletes what was read of topics (DeleteRecords), of everybody.

A topic can't be searched for a person, so all goes that lies before the lowest commit of the groups that read it: Earshot's
own, and whoever else has committed there. What Earshot reads is committed when all that follows from it is in ClickHouse, so
nothing goes that has not landed. A group of Earshot's that has committed nothing has read nothing.

It may be done again: what is gone is gone, and what has been read since goes, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from pipeline.config.settings import KafkaSettings
from pipeline.errors import EarshotError
from pipeline.kafka.client import check_kafka, kafka_admin, kafka_reason
from pipeline.kafka.outside import committed, kafka_errors, outside
from pipeline.privacy.places.topics import COMPACTED
from pipeline.privacy.register import TOPICS
from pipeline.privacy.topic_times import NO_DATE

_ASK_S = 10.0
_DELETE_S = 60.0
_AT_ONCE = 8
Places = Mapping[str, Sequence[TopicPartition]]
Commits = dict[tuple[str, int], int]


class Cut(NamedTuple):
    """What would go of a topic."""

    topic: str
    offsets: Mapping[int, int]
    """Partition -> the first offset that stays, of those of which something goes."""
    records: int
    """How many records go, of everybody."""
    left: int
    """How many stay, as somebody has not read them yet."""
    held: tuple[str, ...] = ()
    """The groups that have not read those."""


class Plan(NamedTuple):
    """What would go of all topics."""

    cuts: list[Cut]
    stays: dict[str, str]
    """The topics of which nothing would go, and why."""


def plan(kafka: KafkaSettings) -> Plan:
    """What could go now. Raises UnreachableError, and EarshotError for a broker that does not say all groups."""
    known = check_kafka(kafka)
    names = {kafka.topic(place.name): place.groups for place in TOPICS.values() if place.groups is not None}
    places = {name: [TopicPartition(name, number) for number in range(known[name])] for name in names if name in known}
    own = {name: {f"{kafka.group}{group}" for group in names[name] or ()} for name in places}
    stays = {kafka.topic(place.name): place.uncut for place in TOPICS.values() if place.groups is None}
    with kafka_errors(kafka):
        admin = kafka_admin(kafka)
        compacted = _compacted(admin, places)
        groups = sorted({*_groups(admin), *(group for its in own.values() for group in its)})
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # each waits for the coordinator of its group
            commits = dict(zip(groups, pool.map(lambda group: _commits(kafka, group, places), groups), strict=True))
        with outside(kafka) as consumer:
            found = [_cut(consumer, name, places[name], own[name], commits) for name in places if name not in compacted]
    return Plan(found, stays | dict.fromkeys(compacted, COMPACTED))


def delete(kafka: KafkaSettings, these: Sequence[Cut]) -> None:
    """Deletes the records: on return no reader gets them. Raises EarshotError with the first topic that refuses; the others'
    are gone then."""
    places = [TopicPartition(cut.topic, number, offset) for cut in these for number, offset in cut.offsets.items()]
    if not places:
        return
    refused, admin = [], kafka_admin(kafka)  # no answer comes to one that is gone
    with kafka_errors(kafka):
        asked = admin.delete_records(places, request_timeout=_DELETE_S, operation_timeout=_DELETE_S)
    for place, answer in asked.items():
        try:
            answer.result(2 * _DELETE_S)
        except (KafkaException, TimeoutError) as error:
            why = kafka_reason(error) if isinstance(error, KafkaException) else "no answer"
            refused.append(f"{place.topic} partition {place.partition}: {why}")
    if refused:
        raise EarshotError(f"records are not deleted: {refused[0]}; run it again")


def told(held: Mapping[str, str], these: Sequence[Cut], at: datetime) -> dict[str, str]:
    """What a receipt says of each topic, in place of `held`, until when it holds records otherwise."""
    said = dict(held)
    for cut in these:
        behind = f"; {cut.left:,} not read by all yet: {held.get(cut.topic, NO_DATE)}" if cut.left else ""
        said[cut.topic] = f"deleted {at:%Y-%m-%d %H:%M} UTC ({cut.records:,} records{behind})"
    return said


def _compacted(admin: AdminClient, places: Places) -> list[str]:
    """Of such a topic Kafka deletes no records."""
    resources, found = [ConfigResource(ResourceType.TOPIC, name) for name in places], []
    for resource, asked in admin.describe_configs(resources, request_timeout=_ASK_S).items():
        policy = asked.result(2 * _ASK_S).get("cleanup.policy")
        if policy is not None and policy.value and "delete" not in policy.value:
            found.append(resource.name)
    return found


def _groups(admin: AdminClient) -> list[str]:
    listed = admin.list_consumer_groups(request_timeout=_ASK_S).result(2 * _ASK_S)
    if listed.errors:
        raise EarshotError(f"not all groups that read the topics are known: {kafka_reason(listed.errors[0])}")
    return [group.group_id for group in listed.valid]


def _commits(kafka: KafkaSettings, group: str, places: Places) -> Commits:
    asked = [place for its in places.values() for place in its]
    with outside(kafka, group) as consumer:
        found = committed(consumer, asked)
    return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}


def _cut(
    consumer: Consumer, topic: str, places: Sequence[TopicPartition], own: set[str], commits: Mapping[str, Commits]
) -> Cut:
    offsets, records, left, held = {}, 0, 0, set[str]()
    for place in places:
        first, end = consumer.get_watermark_offsets(place, timeout=_ASK_S)
        read = dict(_read(place, own, commits, first, end))
        stays = max(first, min(read.values(), default=end))
        held |= {group for group, offset in read.items() if offset < end}
        records, left = records + stays - first, left + end - stays
        if stays > first:
            offsets[place.partition] = stays
    return Cut(topic, offsets, records, left, tuple(sorted(held)))


def _read(
    place: TopicPartition, own: set[str], commits: Mapping[str, Commits], first: int, end: int
) -> Iterator[tuple[str, int]]:
    """How far each group is that reads the partition. One of ours that has committed nothing, or what is not there (the topic
    was made anew), has read nothing."""
    for group, its in commits.items():
        offset = its.get((place.topic, place.partition))
        if group in own:
            yield group, offset if offset is not None and offset <= end else first
        elif offset is not None:
            yield group, offset
