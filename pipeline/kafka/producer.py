"""The Kafka producer, and what becomes of what Kafka does not take. Errors are three kinds:

PASSES    transport, leaders that move, and what people have to mend: authorisation, a missing topic, too few replicas. Repeated
          without end, said in the log, named by /ready. An error that is not listed is of this kind: repeating loses nothing.
RECORD    this record is never taken: too large, invalid. It is not repeated; it goes another way, and is counted.
PRODUCER  the producer takes nothing any more: its sequence is lost, or it was fenced. A new one takes over; when that fails
          too, before it got anything acknowledged, the process ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline.clock import Seldom, worth_logging
from pipeline.errors import EarshotError
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.client import error_text
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals

log = logging.getLogger("earshot.kafka")
PATIENCE_S = 5.0
"""So long without an acknowledgement counts as a try that failed: librdkafka itself goes on trying for five minutes."""
QUEUE_KB = 64 << 10
"""What librdkafka holds at most: it copies what it sends."""
Delivered = Callable[[KafkaError | None, Message | None], None]


class Kind(Enum):
    PASSES = "passes"
    RECORD = "record"
    PRODUCER = "producer"


_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}
_RECORD = {*_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError._BAD_MSG}
_PRODUCER = {
    KafkaError._FATAL, KafkaError._FENCED, KafkaError._GAPLESS_GUARANTEE, KafkaError._INCONSISTENT,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING, KafkaError.PRODUCER_FENCED,
}  # fmt: skip
_MENDED = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION,
}  # fmt: skip
"""They end an idempotent producer, but it is people who mend them: new producers are tried without end."""


def kind_of(error: KafkaError) -> Kind:
    if error.code() in _RECORD:
        return Kind.RECORD
    if error.code() in _PRODUCER or (error.fatal() and error.code() not in _MENDED):
        return Kind.PRODUCER
    return Kind.PASSES


class Record(NamedTuple):
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(NamedTuple):
    """Why a topic never takes a record."""

    why: str
    too_large: bool


class RenewedProducer:
    """librdkafka's producer, idempotent; after a fatal error a new one is in its place. `label` names it in metrics."""

    def __init__(self, config: Mapping[str, Any], label: str) -> None:
        fixed = {"enable.idempotence": True, "acks": "all", "queue.buffering.max.kbytes": QUEUE_KB, "log_level": 0}
        self._config = {**config, **fixed, "error_cb": self._on_error}
        self._label = label
        self._producer = Producer(self._config)
        self.fatal: KafkaError | None = None
        """Why the one in use takes nothing any more; the next `produce` makes a new one."""
        self.trouble = ""  # the last error of the connection

    def __len__(self) -> int:
        """Records that are neither acknowledged nor refused."""
        return len(self._producer)

    def produce(self, topic: str, record: Record, delivered: Delivered) -> None:
        """Queues the record. `delivered` hears of its fate in `poll` or `flush`, or here when it is refused at once.

        Raises BufferError while the queue is full.
        """
        if self.fatal is not None:
            self.renew()
        try:
            self._producer.produce(topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered)
        except KafkaException as error:
            if kind_of(error.args[0]) is Kind.PRODUCER:
                self.fatal = self.fatal or error.args[0]
            delivered(error.args[0], None)

    def poll(self, timeout_s: float) -> None:
        """Serves callbacks, as soon as there is one."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:  # so a fatal error is told; what it did to the records comes with the next polls
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
        """Makes a new producer; what the old one had is not sent any more."""
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
        self._producer.purge()

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.trouble:  # the error before says why
            self.trouble = error_text(error)


class ReliableProducer:
    """Sends to one topic until each record is there, or never will be. For one thread, `name`d as its signs of life are.

    Blocks while Kafka is away or refuses what passes: /ready names `what` is held then. Raises GivenUp when the generation is
    over, EarshotError when a new producer fails as the one before it did.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, what: str, fence: Fence, vitals: Vitals, name: str) -> None:
        self._label = what.replace(" ", "_")
        self._producer = RenewedProducer(config, self._label)
        self._topic, self._what, self._name = topic, what, name
        self._fence, self._vitals = fence, vitals
        self._tries = self._replaced = 0
        self._heard = 0.0
        self._halving = Seldom()

    def send(self, records: Sequence[Record], generation: int) -> dict[int, Refusal]:
        """On return the topic has all records but those at the places returned: why it never takes them."""
        self._fence.check(generation)
        self._tries = 0
        try:
            refused = self._sift(dict(enumerate(records)), generation)
        except GivenUp:
            # What is still on its way is nobody's any more, and must not fill the queue of what comes.
            self._producer.renew()
            raise
        finally:
            self._vitals.clear(self._held)
        metrics.RECORDS_REFUSED.labels(self._label).inc(len(refused))
        return {place: Refusal(error.str(), error.code() in _TOO_LARGE) for place, error in refused.items()}

    @property
    def _held(self) -> str:
        return f"{self._what} ({self._name})"

    def _sift(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """Returns what is refused though it goes alone.

        A broker refuses a batch for one of its records, or because they are too large together. So halves are sent of what it
        refuses; one record after the other would take minutes.
        """
        refused = self._repeat(records, generation)
        if not refused or len(records) == 1:
            return refused
        self._say_halves(len(refused), len(records), next(iter(refused.values())).str())
        places = list(refused)
        half = (len(places) + 1) // 2
        alone: dict[int, KafkaError] = {}
        for part in (places[:half], places[half:]):
            if part:
                alone |= self._sift({place: records[place] for place in part}, generation)
        return alone

    def _say_halves(self, refused: int, records: int, why: str) -> None:
        said = f"{refused} of {records} records were refused together, halves of them are sent: {why}"
        self._vitals.hold(self._held, said)
        if self._halving.due():
            log.warning("topic %s: %s", self._topic, said)

    def _repeat(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """Repeats what may pass; returns what never does."""
        refused: dict[int, KafkaError] = {}
        while records:
            failed = self._produce(records, generation)
            refused |= {place: error for place, error in failed.items() if kind_of(error) is Kind.RECORD}
            records = {place: records[place] for place in failed if place not in refused}
            if records:
                self._say(next(failed[place] for place in records).str())
                self._vitals.busy(self._name)
                time.sleep(min(2.0, 0.1 * 2 ** min(self._tries, 5)))
                self._fence.check(generation)
        return refused

    def _produce(self, records: Mapping[int, Record], generation: int) -> dict[int, KafkaError]:
        """Produces the records once; returns why which were not acknowledged."""
        self._replace()
        fates: dict[int, KafkaError | None] = {}
        self._heard = time.monotonic()
        for place, record in records.items():
            delivered = partial(self._delivered, fates, place)
            while not self._queued(record, delivered):
                self._wait(generation)
        while len(self._producer):
            self._wait(generation)
        unheard = self._producer.fatal or KafkaError(KafkaError._FATAL)
        return {place: error for place in records if (error := fates.get(place, unheard)) is not None}

    def _queued(self, record: Record, delivered: Delivered) -> bool:
        try:
            self._producer.produce(self._topic, record, delivered)
        except BufferError:
            return False
        return True

    def _delivered(self, fates: dict[int, KafkaError | None], place: int, error: KafkaError | None, _: Message | None) -> None:
        fates[place] = error
        self._heard = time.monotonic()
        if error is None:
            self._replaced = 0
            self._producer.trouble = ""

    def _wait(self, generation: int) -> None:
        self._vitals.busy(self._name)
        self._fence.check(generation)
        self._producer.poll(0.2)
        if time.monotonic() - self._heard > PATIENCE_S:
            self._heard = time.monotonic()
            self._say(self._producer.trouble or f"no acknowledgement for {PATIENCE_S:.0f} s")

    def _replace(self) -> None:
        """A new producer, if this one has met a fatal error. Raises EarshotError when it was new itself, and got
        nothing acknowledged."""
        if (fatal := self._producer.fatal) is None:
            return
        if kind_of(fatal) is Kind.PRODUCER:
            if self._replaced:
                raise EarshotError(f"topic {self._topic}: a new producer failed like the one before it: {fatal.str()}")
            self._replaced += 1
        self._producer.renew()

    def _say(self, why: str) -> None:
        self._tries += 1
        self._vitals.hold(self._held, why)
        if worth_logging(self._tries):
            log.warning("topic %s accepts no %s: %s; try %d, will be retried", self._topic, self._what, why, self._tries)
