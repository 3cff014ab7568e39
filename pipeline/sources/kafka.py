"""The Kafka source: one thread that polls, builds micro-batches and follows the consumer group.

Batches are small when little comes (one each `linger`; after a pause the first record hardly waits), and up to `rows` when
behind. Records are never skipped, whatever happens to the partitions: a batch that can't be finished is given up with its whole
generation, the consumer is closed, and a new one reads on from the committed offsets. pipeline/worker/offsets.py has the
assignment and loss of partitions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import orjson
from confluent_kafka import Consumer, KafkaError, Message

from pipeline.batch import EventBatch, Unreadable
from pipeline.clock import steady
from pipeline.config.settings import KafkaConfig
from pipeline.fence import Fence
from pipeline.kafka.batches import last_offset
from pipeline.kafka.connection import Connection
from pipeline.kafka.consumer import confirmed_ago
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.sources.messages import batch_from
from pipeline.worker.in_flight import InFlightLimit
from pipeline.worker.offsets import Offsets

log = logging.getLogger("earshot.delivery")
ROOM_WAIT_S = 0.1
KEPT_BYTES = 1 << 20
TICK_S = 5.0
_FIRST_SLICE = 16
_ALONE = 0.2
"""Of a linger: how long a record that comes after a pause waits for others."""


class Limits(NamedTuple):
    """The size of a micro-batch: rows, bytes (about), seconds; and the time between empty ones."""

    rows: int
    bytes: int
    linger_s: float
    tick_s: float = TICK_S


class Subscription(NamedTuple):
    """What the source reads: the settings of its consumers (kafka/consumer.py), the topic, and the size of batches."""

    config: KafkaConfig
    topic: str
    limits: Limits
    connect: Callable[[KafkaConfig], Consumer] = Consumer


class Target(Protocol):
    """Where batches go (worker/flow.py)."""

    def put(self, batch: EventBatch) -> None:
        """Takes the batch; the in-flight limit has room for it."""
        ...

    def fail(self, error: BaseException) -> None:
        """Stops the worker because of an error of the source."""
        ...


class KafkaSource:
    """Runs on a thread of its own from `start` until `stop`; a fatal error is passed to `flow.fail`.

    While `waiting` is true, an empty batch goes every `limits.tick_s`, so that the steps look at waiting changes.
    """

    def __init__(
        self,
        subscription: Subscription,
        offsets: Offsets,
        fence: Fence,
        vitals: Vitals,
        in_flight: InFlightLimit,
        flow: Target,
        waiting: Callable[[], bool],
    ) -> None:
        self._config, self._topic, self._limits, self._connect = subscription
        self._offsets, self._fence, self._vitals, self._in_flight = offsets, fence, vitals, in_flight
        self._flow, self._waiting = flow, waiting
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll", daemon=True)
        self._session_s = self._config["session.timeout.ms"] / 1000
        self._slice = _FIRST_SLICE
        self._bytes = 0
        self._batches = 0
        self._generation = 0
        self._handed_over = time.monotonic()
        self._connection = Connection(self._vitals)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stops reading, lets the batches on their way land, commits, and leaves the group."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._read_generation()
        except BaseException as error:
            self._flow.fail(error)

    def _read_generation(self) -> None:
        callbacks = {
            "error_cb": self._on_error,
            "stats_cb": self._on_stats,
            "on_commit": self._offsets.on_commit,
            "log_level": 0,
        }
        consumer = self._connect({**self._config, **callbacks})
        self._fence.polled()
        # Not the fence's when the batch is passed on: a callback may end the generation of records that were read before.
        self._generation = self._fence.generation
        self._offsets.open(consumer, self._topic, partial(last_offset, self._config))
        try:
            while not self._stopping.is_set() and not self._offsets.given_up:
                self._turn(consumer)
        finally:
            # Leaving the group may take as long as the broker does not answer.
            self._vitals.idle("poll")
            self._offsets.close()

    def _turn(self, consumer: Consumer) -> None:
        self._vitals.busy("poll")
        if self._stood_still():
            return
        self._offsets.resume_seeded()
        self._offsets.commit()
        if not self._has_room(consumer):
            return
        messages, unreadable = self._read(consumer)
        if not self._offsets.given_up and (messages or unreadable or self._tick_due()):
            self._send(messages, unreadable)

    def _stood_still(self) -> bool:
        """Gives everything up when the process was stopped for about a session: another worker may own the partitions by now,
        and this consumer does not know it yet."""
        gap = self._fence.polled()
        if gap <= self._session_s - 3:
            return False
        self._offsets.give_up(f"the process did not run for {gap:.0f} s")
        return True

    def _has_room(self, consumer: Consumer) -> bool:
        """Whether a batch may be read. Until then the group is served by reading a record now and then: pausing would throw the
        prefetched ones away, so only too many kept bytes bring it."""
        kept, paused = 0, False
        while not self._in_flight.wait(ROOM_WAIT_S):
            self._vitals.busy("poll")
            if self._stood_still():
                return False
            self._offsets.commit()
            if kept > KEPT_BYTES and not paused:
                self._offsets.pause()
                paused = True
            messages = consumer.consume(1, 0)
            self._offsets.keep(messages)
            kept += sum(map(len, messages))
            if self._stopping.is_set() or self._offsets.given_up:
                return False
        if paused:
            self._offsets.resume()
        return True

    def _read(self, consumer: Consumer) -> tuple[list[Message], list[Unreadable]]:
        """Returns when the batch is full, else a `linger` after the batch before, or soon if none came since then."""
        messages = self._offsets.take_kept() or consumer.consume(1, self._limits.linger_s)
        size, now = sum(map(len, messages)), time.monotonic()
        until = max(self._handed_over + self._limits.linger_s, now + self._limits.linger_s * _ALONE) if messages else now
        while messages and len(messages) < self._limits.rows and size < self._limits.bytes:
            wanted = min(self._slice, self._limits.rows - len(messages))
            got = consumer.consume(wanted, max(0.0, until - time.monotonic()))
            messages += got
            size += sum(map(len, got))
            if len(got) < wanted:
                break
            # Slices grow as long as the records seen so far let the next one fit into the rest of the batch.
            fits = int((self._limits.bytes - size) / max(1, size / max(1, len(messages)))) + 1
            self._slice = max(1, min(self._slice * 4, fits, 10_000))
        self._bytes = size
        return self._offsets.ours(messages)

    def _tick_due(self) -> bool:
        """Whether an empty batch should go, so that the steps look at waiting changes when nothing else comes."""
        return self._waiting() and time.monotonic() - self._handed_over > self._limits.tick_s

    def _send(self, messages: list[Message], unreadable: list[Unreadable]) -> None:
        self._batches += 1
        self._handed_over = time.monotonic()
        batch = batch_from(messages, self._topic, self._batches, self._generation, unreadable)
        batch.bytes = self._bytes
        batch.behind = 2 * batch.read >= self._limits.rows or 2 * self._bytes >= self._limits.bytes
        metrics.READ.inc(batch.read)
        if batch.read:
            metrics.BATCH_ROWS.observe(batch.read)
            self._offsets.lag.read(batch.origins)
        if log.isEnabledFor(logging.DEBUG):
            origins = " ".join(f"{o.topic}[{o.partition}]:{o.first}-{o.last}" for o in batch.origins)
            log.debug("batch %d read rows=%d %s", batch.id, batch.read, origins)
        self._in_flight.take(batch)
        self._flow.put(batch)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._offsets.give_up(error.str())
        else:
            self._connection.failed(error)

    def _on_stats(self, text: str) -> None:
        stats = orjson.loads(text)
        if any(broker["state"] == "UP" and broker["nodeid"] >= 0 for broker in stats["brokers"].values()):
            self._connection.answered()
        else:
            self._connection.lost()
        if (sent_ago := confirmed_ago(stats)) is not None:
            self._fence.confirmed(steady() - sent_ago, self._session_s)
        self._offsets.lag.statistics(stats, self._topic)
