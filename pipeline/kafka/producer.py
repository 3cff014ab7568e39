"""Kafka producers that lose no record: `RenewedProducer` replaces itself after a fatal error, `ReliableProducer` also repeats.

kafka/error_kinds.py says which errors pass, which refuse a record and which end a producer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline.clock import Seldom, worth_logging
from pipeline.config.settings import KafkaConfig
from pipeline.errors import EarshotError
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.client import error_text
from pipeline.kafka.error_kinds import TOO_LARGE, Kind, kind_of
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals

log = logging.getLogger("earshot.kafka")
PATIENCE_S = 5.0
"""A try without any acknowledgement for this long counts as failed: librdkafka itself keeps trying for five minutes."""
QUEUE_KB = 64 << 10
"""The most that librdkafka holds: it copies the records it sends."""
Delivered = Callable[[KafkaError | None, Message | None], None]


class Record(NamedTuple):
    """A record to send."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    partition: int = -1
    """-1: by the key."""


class Refusal(NamedTuple):
    """Why a topic never takes a record."""

    why: str
    too_large: bool


class RenewedProducer:
    """librdkafka's producer, idempotent; after a fatal error the next call uses a new one. `label` names it in metrics."""

    def __init__(self, config: KafkaConfig, label: str) -> None:
        fixed = {"enable.idempotence": True, "acks": "all", "queue.buffering.max.kbytes": QUEUE_KB, "log_level": 0}
        self._config = {**config, **fixed, "error_cb": self._on_error}
        self._label = label
        self._producer = Producer(self._config)
        self.fatal: KafkaError | None = None
        """The error that ended the current producer; the next `produce` makes a new one."""
        self.trouble = ""
        """The last error of the connection."""

    def __len__(self) -> int:
        """Records that Kafka has neither acknowledged nor refused."""
        return len(self._producer)

    def produce(self, topic: str, record: Record, delivered: Delivered) -> None:
        """Queues the record. `poll` or `flush` calls `delivered` with the result; this call does if the record is refused at
        once.

        Raises BufferError while the queue is full.
        """
        if self.fatal is not None:
            self.renew()
        try:
            self._producer.produce(
                topic, record.value, record.key, record.partition, on_delivery=delivered, headers=list(record.headers)
            )
        except KafkaException as error:
            if kind_of(error.args[0]) is Kind.PRODUCER:
                self.fatal = self.fatal or error.args[0]
            delivered(error.args[0], None)

    def poll(self, timeout_s: float) -> None:
        """Waits for callbacks and calls them."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # a fatal error; the next polls bring its effect on the records
            if not error.args[0].fatal():
                raise
            self.fatal = error.args[0]

    def flush(self, timeout_s: float) -> int:
        """Returns how many records still wait for their result. librdkafka's flush calls callbacks inside a fatal exception."""
        end = time.monotonic() + timeout_s
        while len(self) and (left := end - time.monotonic()) > 0:
            self.poll(left)
        return len(self)

    def renew(self) -> None:
        """Makes a new producer; the old one's unsent records are dropped."""
        if self.fatal is not None:
            self.flush(1.0)
            metrics.PRODUCERS_RENEWED.labels(self._label).inc()
            log.warning("the producer of %s is replaced: %s", self._label, self.fatal.str())
        self._producer = Producer(self._config)
        self.fatal = None

    def list_topics(self, topic: str, timeout_s: float) -> None:
        """Raises KafkaException when no broker answers."""
        self._producer.list_topics(topic, timeout=timeout_s)

    def purge(self) -> None:
        """Drops all unsent records; the next `poll` reports them as failed."""
        self._producer.purge()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.trouble:  # the error before says why
            self.trouble = error_text(error)


class ReliableProducer:
    """Sends records to one topic until Kafka acknowledged or finally refused each. For one thread, whose vitals have this
    `name`.

    Blocks while Kafka is away or its errors may pass; /ready then names `what`, the records that wait. Raises GivenUp if the
    generation ends, EarshotError if a new producer fails like the one before it.
    """

    def __init__(self, config: KafkaConfig, topic: str, what: str, fence: Fence, vitals: Vitals, name: str) -> None:
        self._label = what.replace(" ", "_")
        self._producer = RenewedProducer(config, self._label)
        self._topic, self._what, self._name = topic, what, name
        self._fence, self._vitals = fence, vitals
        self._tries = self._replaced = 0
        self._answered_at = 0.0
        self._halving = Seldom()

    def send(self, records: Sequence[Record], generation: int) -> dict[int, Refusal]:
        """On return the topic has all records except those at the returned indices, which it never takes."""
        self._fence.check(generation)
        self._tries = 0
        try:
            refused = self._sift(dict(enumerate(records)), generation)
        except GivenUp:
            # Records still in the queue belong to a batch that was given up: they must not fill it.
            self._producer.renew()
            raise
        finally:
            self._vitals.clear(self._held)
        metrics.RECORDS_REFUSED.labels(self._label).inc(len(refused))
        return {index: Refusal(error.str(), error.code() in TOO_LARGE) for index, error in refused.items()}

    @property
    def _held(self) -> str:
        return f"{self._what} ({self._name})"

    def _sift(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """The records that are refused even alone, by index.

        A broker refuses a whole batch because of one record, or because the records are too large together. So refused records
        are sent again in halves; one by one would take minutes.
        """
        refused = self._repeat(records, generation)
        if not refused or len(records) == 1:
            return refused
        self._report_halves(len(refused), len(records), next(iter(refused.values())).str())
        indices = list(refused)
        half = (len(indices) + 1) // 2
        alone: dict[int, KafkaError] = {}
        for part in (indices[:half], indices[half:]):
            if part:
                alone |= self._sift({index: records[index] for index in part}, generation)
        return alone

    def _report_halves(self, refused: int, records: int, why: str) -> None:
        message = f"{refused} of {records} records were refused together, halves of them are sent: {why}"
        self._vitals.hold(self._held, message)
        if self._halving.due():
            log.warning("topic %s: %s", self._topic, message)

    def _repeat(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """Repeats while errors may pass; returns the records that are refused, by index."""
        refused: dict[int, KafkaError] = {}
        while records:
            failed = self._produce(records, generation)
            refused |= {index: error for index, error in failed.items() if kind_of(error) is Kind.RECORD}
            records = {index: records[index] for index in failed if index not in refused}
            if records:
                self._report(next(failed[index] for index in records).str())
                self._vitals.busy(self._name)
                time.sleep(min(2.0, 0.1 * 2 ** min(self._tries, 5)))
                self._fence.check(generation)
        return refused

    def _produce(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """Produces the records once; returns the errors of those that were not acknowledged, by index."""
        self._replace()
        results: dict[int, KafkaError | None] = {}
        self._answered_at = time.monotonic()
        for index, record in records.items():
            delivered = partial(self._delivered, results, index)
            while not self._queued(record, delivered):
                self._wait(generation)
        while len(self._producer):
            self._wait(generation)
        unknown = self._producer.fatal or KafkaError(KafkaError._FATAL)
        return {index: error for index in records if (error := results.get(index, unknown)) is not None}

    def _queued(self, record: Record, delivered: Delivered) -> bool:
        try:
            self._producer.produce(self._topic, record, delivered)
        except BufferError:
            return False
        return True

    def _delivered(
        self, results: dict[int, KafkaError | None], index: int, error: KafkaError | None, _: Message | None
    ) -> None:
        results[index] = error
        self._answered_at = time.monotonic()
        if error is None:
            self._replaced = 0
            self._producer.trouble = ""

    def _wait(self, generation: int) -> None:
        self._vitals.busy(self._name)
        self._fence.check(generation)
        self._producer.poll(0.2)
        if time.monotonic() - self._answered_at > PATIENCE_S:
            self._answered_at = time.monotonic()
            self._report(self._producer.trouble or f"no acknowledgement for {PATIENCE_S:.0f} s")

    def _replace(self) -> None:
        """Makes a new producer after a fatal error. Raises EarshotError if this one was new, and Kafka acknowledged nothing of
        it."""
        if (fatal := self._producer.fatal) is None:
            return
        if kind_of(fatal) is Kind.PRODUCER:
            if self._replaced:
                raise EarshotError(f"topic {self._topic}: a new producer failed like the one before it: {fatal.str()}")
            self._replaced += 1
        self._producer.renew()

    def _report(self, why: str) -> None:
        self._tries += 1
        self._vitals.hold(self._held, why)
        if worth_logging(self._tries):
            log.warning("topic %s accepts no %s: %s; try %d, will be retried", self._topic, self._what, why, self._tries)
