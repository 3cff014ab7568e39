"""Partitions: they start, and where they can't be read on each is held with a reason in /ready, or its unreadable records are
passed over.

A partition is *held* when its next offset is not in Kafka any more: only `earshot offsets accept-loss` lets it go on. It is
*stuck* at a batch of records that can't be unpacked while nobody knows where the batch ends: the broker is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.batch import Partition, Unreadable
from pipeline.errors import EarshotError
from pipeline.monitoring.health import Vitals

log = logging.getLogger("earshot.delivery")
LastOffset = Callable[[str, int, int], int]
"""Of topic, partition, offset: the last offset of the batch of records that holds it. Raises EarshotError when it is
unknown."""
UNREADABLE = {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG}
"""librdkafka's error, at each try, for a batch of records that it can't unpack: too large, or broken."""


class ReadErrors:
    """For the poll thread. `give_up(why)` ends the generation."""

    def __init__(self, vitals: Vitals, give_up: Callable[[str], None]) -> None:
        self._vitals, self._give_up = vitals, give_up
        self.held: set[Partition] = set()
        self.stuck: set[Partition] = set()

    def start(self, consumer: Consumer, offsets: Mapping[Partition, int], kept: Sequence[Message]) -> list[Message]:
        """Fetches paused partitions from these offsets, but held ones. Returns the records of `kept` that stay: none of theirs.

        After `resume` alone librdkafka's thread of the broker sleeps on for up to a second, and a partition that was paused
        while it asked for its beginning asks again after half a second. A seek wakes the one and asks at once.
        """
        readable = [TopicPartition(*partition, offset) for partition, offset in offsets.items() if partition not in self.held]
        consumer.resume(readable)
        sought = set()
        for place in readable:
            try:
                consumer.seek(place)
                sought.add((place.topic, place.partition))
            except KafkaException as error:
                log.debug("%s[%d] starts later: %s", place.topic, place.partition, error)
        log.info("reading %s", names({(place.topic, place.partition) for place in readable}))
        if late := {partition_of(message) for message in kept if not message.error()} & offsets.keys() - sought:
            # Of an earlier assignment perhaps, and then records are missing before them, which their commit would pass over.
            self._give_up(f"records of {names(late)} were read before it could start")
        return [message for message in kept if message.error() or partition_of(message) not in offsets]

    def hold(self, consumer: Consumer, partition: Partition, error: KafkaError) -> None:
        """The next offset of the partition is not in Kafka."""
        self.held.add(partition)
        consumer.pause([TopicPartition(*partition)])
        why = f"the next offset to read is not in Kafka any more ({error.str()}): see `earshot offsets accept-loss`"
        self._vitals.hold(names({partition}), why)
        log.error("%s is held: %s", names({partition}), why)

    def pass_over(self, consumer: Consumer, message: Message, error: KafkaError, last_offset: LastOffset) -> list[Unreadable]:
        """Reads on behind the batch of records whose first offset is that of `message`; librdkafka would ask for it for ever.

        While nobody knows where the batch ends, the partition is stuck, and reads it again."""
        partition, first = partition_of(message), message.offset() or 0
        try:
            last = last_offset(*partition, first)
        except EarshotError as unknown:
            why = f"offset {first} can't be read ({error.str()}), nor where to read on: {unknown}"
            self._vitals.hold(names({partition}), why)
            if partition not in self.stuck:
                log.error("%s is held: %s", names({partition}), why)
            self.stuck.add(partition)
            self._seek(consumer, partition, first)
            return []
        self.reads_on(partition)
        log.error(
            "%s offsets %d to %d can't be read, they become a dead letter: %s", names({partition}), first, last, error.str()
        )
        self._seek(consumer, partition, last + 1)
        return [Unreadable(*partition, first, last, error.str())]

    def reads_on(self, partition: Partition) -> None:
        """A record of the partition came."""
        if partition in self.stuck:
            self.stuck.discard(partition)
            self._vitals.clear(names({partition}))

    def drop(self, partitions: set[Partition]) -> None:
        """Partitions that left."""
        for partition in partitions & (self.held | self.stuck):
            self._vitals.clear(names({partition}))
        self.held -= partitions
        self.stuck -= partitions

    def _seek(self, consumer: Consumer, partition: Partition, offset: int) -> None:
        """Reads on there. librdkafka throws away the records and errors that it has fetched before."""
        try:
            consumer.seek(TopicPartition(*partition, offset))
        except KafkaException as error:
            self._give_up(f"{names({partition})} can't be read on from offset {offset}: {error}")


def partition_of(message: Message) -> Partition:
    return message.topic() or "", message.partition() or 0


def names(partitions: set[Partition]) -> str:
    """The partitions as log and /ready show them: `social.events[3]`."""
    return " ".join(f"{topic}[{number}]" for topic, number in sorted(partitions))
