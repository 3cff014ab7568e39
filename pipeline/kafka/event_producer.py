"""Produces canonical events to the events topic, for `replay`, `send`, `generate` and the sample stream."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import orjson
from confluent_kafka import KafkaError, Message

from pipeline.config.settings import MAX_MESSAGE_BYTES, KafkaSettings
from pipeline.errors import UnreachableError
from pipeline.kafka.client import check_kafka
from pipeline.kafka.producer import Delivered, Record, RenewedProducer

SLICE_S, STOP_S = 0.2, 5.0
"""The longest wait inside librdkafka, which sees neither `stop` nor Ctrl-C; the longest wait after a stop."""


class EventProducer:
    """Writes records to the events topic, each once and in order, until Kafka acknowledged or refused each.

    Raises UnreachableError with the address if there is no broker or no topic. Leaving the block waits for all
    acknowledgements; after an error, or once `stop` is set, at most a few seconds: records without an answer then count as
    failed. A record's timestamp is when it was produced, since retention goes by it.
    """

    def __init__(self, kafka: KafkaSettings, stop: threading.Event | None = None) -> None:
        self.topic = kafka.topic("events")
        self.acknowledged = 0
        self.failed: Counter[str] = Counter()
        self.stop = stop or threading.Event()
        if self.topic not in check_kafka(kafka):
            raise UnreachableError(f"Kafka at {kafka.bootstrap}: no topic {self.topic} (earshot migrate creates it)")
        limits = {"compression.type": "lz4", "message.max.bytes": MAX_MESSAGE_BYTES, "linger.ms": 5}
        self._producer = RenewedProducer({**kafka.client(), **limits}, "events")

    def __enter__(self) -> EventProducer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.stop.set()
        self.finish()

    def produce(self, key: bytes | None, value: bytes, delivered: Delivered | None = None) -> None:
        """Queues a record; waits while the queue is full. A record that is refused at once counts as failed."""
        while True:
            try:
                self._producer.produce(self.topic, Record(value, key), delivered or self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                if self.stop.is_set():
                    self.failed["stopped before it was sent"] += 1
                    return
                self._producer.poll(SLICE_S)

    def wait_until(self, due: float) -> None:
        """Handles acknowledgements until the monotonic time `due`, or until `stop`."""
        while (left := due - time.monotonic()) > 0 and not self.stop.is_set():
            self._producer.poll(min(left, SLICE_S))

    def finish(self) -> None:
        """Waits for all acknowledgements; once `stop` is set at most STOP_S."""
        stopped_at: float | None = None
        while self._producer.flush(SLICE_S):
            if self.stop.is_set():
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at > STOP_S:
                    self._producer.purge()
                    self._producer.flush(1)
                    return

    def _delivered(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failed[error.str()] += 1


@contextmanager
def ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C sets `stop`, a second one interrupts at once.

    An exception would not work: raised inside a delivery callback, librdkafka turns it into a SystemError.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def record_of(event: dict[str, object] | bytes) -> tuple[bytes | None, bytes]:
    """Key and value of an event. Bytes stay as they are; without a readable platform and id there is no key."""
    if isinstance(event, dict):
        return key_of(event), orjson.dumps(event)
    return key_of(parse(event)), event


def parse(raw: bytes) -> dict[str, object] | None:
    """The record as a JSON object; None if it is not one."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def key_of(event: dict[str, object] | None) -> bytes | None:
    """`platform:id`, so that edits, deletes and redeliveries of a post share its partition."""
    if event is None:
        return None
    platform, identifier = event.get("platform"), event.get("id")
    if isinstance(platform, str) and isinstance(identifier, str) and platform and identifier:
        return f"{platform}:{identifier}".encode()
    return None
