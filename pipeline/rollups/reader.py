"""The job's own view of topic signals: consumer group `<group>-rollups`, whose offset says what the rollups have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.clock import Seldom, wall
from pipeline.config.settings import KafkaSettings
from pipeline.kafka.client import kafka_reason
from schemas.signals import Signal, parse_signal

MOST = 500
SESSION_MS = 6_000
"""The least that Kafka allows by default."""
ASK_S = 10.0
log = logging.getLogger("earshot.rollups")


class Heard(NamedTuple):
    """A signal as it came."""

    offset: int
    at: float
    """When it was sent, in seconds since 1970."""
    signal: Signal


class SignalReader:
    """Reads while this process is the one that the group gives the topic's partition to; `revoked` is called when it is not any
    more. For one thread.

    Restart: the next reader goes on from what was committed. `lost` is true when nothing was committed, or Kafka has lost what
    follows: then nobody knows which signals are missing, until `begin`.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._topic = kafka.topic("signals")
        self.revoked: Callable[[], None] = lambda: None
        self._consumer = Consumer(
            {
                **kafka.client(),
                "group.id": f"{kafka.group}-rollups",
                "client.id": "earshot-rollups",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 3,
                "log_level": 0,
            }
        )
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._left, on_lost=self._left)
        self._complaint = Seldom()
        self.away_since: float | None = wall()
        """Since when, in seconds since 1970, no partition is read; None: it is."""
        self.lost = False
        self.next: int | None = None
        """The offset behind the last signal; None: none was read yet."""
        self._committed: int | None = None

    def read(self, timeout_s: float, most: int = MOST) -> list[Heard]:
        """The next signals; waits for the first one. What is no signal is passed over: the evaluator counts it."""
        heard = []
        for message in self._consumer.consume(most, timeout_s):
            if (error := message.error()) is not None:
                self._failed(error)
                continue
            self.next = (message.offset() or 0) + 1
            try:
                signal = parse_signal(message.value())
            except ValueError:
                continue
            heard.append(Heard(self.next - 1, _sent_at(message), signal))
        return heard

    def begin(self) -> None:
        """Goes on with the signals that come from now on, and commits that. Raises KafkaException."""
        partition = TopicPartition(self._topic, 0)
        _, end = self._consumer.get_watermark_offsets(partition, timeout=ASK_S)
        self._consumer.commit(offsets=[TopicPartition(self._topic, 0, end)], asynchronous=False)
        # Not seek: a partition whose offset is not there is in no state for it.
        self._consumer.assign([TopicPartition(self._topic, 0, end)])
        self.lost, self.next, self._committed = False, end, end

    def commit(self, offset: int | None) -> None:
        """The signals before `offset` are dealt with; None: all that were read."""
        offset = self.next if offset is None else offset
        if offset is None or self.lost or (self._committed is not None and offset <= self._committed):
            return
        try:
            self._consumer.commit(offsets=[TopicPartition(self._topic, 0, offset)], asynchronous=False)
            self._committed = offset
        except KafkaException as error:  # another process has the partition, or Kafka is away: it comes again
            self._complain(kafka_reason(error))

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget()
        self.away_since = None if partitions else self.away_since or wall()

    def _left(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget()
        self.away_since = wall()
        self.revoked()

    def _forget(self) -> None:
        self.lost, self.next, self._committed = False, None, None

    def _failed(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._NO_OFFSET, KafkaError.OFFSET_OUT_OF_RANGE):
            self.lost = True
        elif not error.retriable():
            self._complain(error.str())

    def _complain(self, why: Any) -> None:
        if self._complaint.due():
            log.warning("topic %s, for the rollups: %s", self._topic, why)


def _sent_at(message: Message) -> float:
    _, ms = message.timestamp()
    return ms / 1000 if ms > 0 else wall()  # a broker may not say
