"""The Kafka source: one thread that polls, builds micro-batches and follows the consumer group.

Batches are small when idle (what `linger` brings) and up to `rows` when behind. Whatever happens to the partitions, records are
never skipped: a batch that can't be finished is given up with its whole generation, the consumer is closed, and a new one reads
on from the committed offsets. See pipeline/worker/offsets.py for what is done when partitions come and go.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
from confluent_kafka import Consumer, KafkaError, Message

from pipeline.batch import EventBatch, Origin, Unreadable
from pipeline.clock import steady
from pipeline.fence import Fence
from pipeline.kafka.batches import last_offset
from pipeline.kafka.connection import Connection
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.sources.memory import PLACES
from pipeline.worker.in_flight import InFlightLimit
from pipeline.worker.offsets import Offsets

log = logging.getLogger("earshot.delivery")
ROOM_WAIT_S = 1.0
TICK_S = 5.0
_FIRST_SLICE = 16


class Limits(NamedTuple):
    """What makes a micro-batch full: rows, bytes (about), seconds."""

    rows: int
    bytes: int
    linger_s: float


def consumer_config(client: Mapping[str, Any], group: str, session_timeout_ms: int) -> dict[str, Any]:
    return {
        **client,
        "group.id": group,
        "client.id": "earshot-worker",
        "enable.auto.commit": False,
        # A committed offset that is missing is never a silent jump: offsets.py holds the partition.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_timeout_ms,
        "heartbeat.interval.ms": session_timeout_ms // 5,
        # Compressed bytes of a request; a record that is larger still comes, alone (KIP-74).
        "fetch.max.bytes": 8 << 20,
        # It bounds what zstd may unpack, too: a batch that is above it can't be read (pipeline/worker/offsets.py).
        "receive.message.max.bytes": 256 << 20,
        # A slow topic is asked for 20 times a second, not each time that a record came: less than the linger of a batch.
        "fetch.min.bytes": 128 << 10,
        "fetch.wait.max.ms": 50,
        "queued.max.messages.kbytes": 16 << 10,
        # The default of 1 s leaves the poll thread without input whenever the queue was full for a moment.
        "fetch.queue.backoff.ms": 10,
        "statistics.interval.ms": 1000,
    }


@dataclass
class KafkaSource:
    """Runs on a thread of its own from `start` until `stop`; what it can't survive goes to `fail`."""

    config: dict[str, Any]
    topic: str
    limits: Limits
    offsets: Offsets
    fence: Fence
    vitals: Vitals
    room: InFlightLimit
    hand_over: Callable[[EventBatch], None]
    fail: Callable[[BaseException], None]

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll", daemon=True)
        self._session_s = self.config["session.timeout.ms"] / 1000
        self._slice = _FIRST_SLICE
        self._bytes = 0
        self._batches = 0
        self._generation = 0
        self._handed_over = time.monotonic()
        self._connection = Connection(self.vitals)

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
            self.fail(error)

    def _read_generation(self) -> None:
        callbacks = {
            "error_cb": self._on_error,
            "stats_cb": self._on_stats,
            "on_commit": self.offsets.on_commit,
            "log_level": 0,
        }
        consumer = Consumer({**self.config, **callbacks})
        self.fence.polled()
        # Not the fence's own at the time of handing over: a callback may end the generation of what was read before.
        self._generation = self.fence.generation
        self.offsets.open(consumer, self.topic, partial(last_offset, self.config))
        try:
            while not self._stopping.is_set() and not self.offsets.given_up:
                self._turn(consumer)
        finally:
            # Leaving the group may take as long as the broker does not answer.
            self.vitals.idle("poll")
            self.offsets.close()

    def _turn(self, consumer: Consumer) -> None:
        self.vitals.busy("poll")
        if self._stood_still():
            return
        self.offsets.resume_seeded()
        self.offsets.commit()
        if not self._has_room(consumer):
            return
        messages, unreadable = self._read(consumer)
        if not self.offsets.given_up and (messages or unreadable or self._tick_due()):
            self._send(messages, unreadable)

    def _stood_still(self) -> bool:
        """Gives everything up when the process was stopped for about a session: another worker may own the partitions by now,
        before this consumer has heard of it."""
        gap = self.fence.polled()
        if gap <= self._session_s - 3:
            return False
        self.offsets.give_up(f"the process did not run for {gap:.0f} s")
        return True

    def _has_room(self, consumer: Consumer) -> bool:
        """Whether a batch may be read. Waits without polling for a moment: pausing would throw the prefetched records away."""
        if self.room.wait(ROOM_WAIT_S):
            return True
        self.offsets.pause()
        while not self.room.wait(0):
            self.vitals.busy("poll")
            if self._stood_still():
                return False
            self.offsets.commit()
            self.offsets.keep(consumer.consume(1, 0.1))
            if self._stopping.is_set() or self.offsets.given_up:
                return False
        self.offsets.resume()
        return True

    def _read(self, consumer: Consumer) -> tuple[list[Message], list[Unreadable]]:
        messages, size = self.offsets.take_kept(), 0
        while len(messages) < self.limits.rows and size < self.limits.bytes:
            wanted = min(self._slice, self.limits.rows - len(messages))
            got = consumer.consume(wanted, self.limits.linger_s)
            messages += got
            size += sum(map(len, got))
            if len(got) < wanted:
                break
            # Slices grow as long as the records seen so far let the next one fit into what is left of the batch.
            fits = int((self.limits.bytes - size) / max(1, size / max(1, len(messages)))) + 1
            self._slice = max(1, min(self._slice * 4, fits, 10_000))
        self._bytes = size
        return self.offsets.ours(messages)

    def _tick_due(self) -> bool:
        """Whether an empty batch should go, so that waiting changes are looked at when nothing else comes."""
        return self.offsets.waiting() and time.monotonic() - self._handed_over > TICK_S

    def _send(self, messages: list[Message], unreadable: list[Unreadable]) -> None:
        self._batches += 1
        self._handed_over = time.monotonic()
        batch = batch_from(messages, self.topic, self._batches, self._generation, unreadable)
        batch.behind = 2 * batch.read >= self.limits.rows or 2 * self._bytes >= self.limits.bytes
        metrics.READ.inc(batch.read)
        if batch.read:
            metrics.BATCH_ROWS.observe(batch.read)
            self.offsets.lag.read(batch.origins)
        if log.isEnabledFor(logging.DEBUG):
            places = " ".join(f"{o.topic}[{o.partition}]:{o.first}-{o.last}" for o in batch.origins)
            log.debug("batch %d read rows=%d %s", batch.id, batch.read, places)
        self.room.take()
        self.hand_over(batch)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.offsets.give_up(error.str())
        else:
            self._connection.failed(error)

    def _on_stats(self, text: str) -> None:
        stats = orjson.loads(text)
        if any(broker["state"] == "UP" and broker["nodeid"] >= 0 for broker in stats["brokers"].values()):
            self._connection.answered()
        else:
            self._connection.lost()
        if (sent_ago := _confirmed_ago(stats)) is not None:
            self.fence.confirmed(steady() - sent_ago, self._session_s)
        self.offsets.lag.told(stats, self.topic)


def _confirmed_ago(stats: Mapping[str, Any]) -> float | None:
    """How long ago that was sent which the group's coordinator answered last; None: an answer is still to come."""
    coordinator = stats["brokers"].get("GroupCoordinator", {"rxidle": -1})
    if not 0 <= coordinator["rxidle"] <= coordinator["txidle"]:
        return None
    waited = time.monotonic() - stats["ts"] / 1e6  # for this thread; librdkafka's clock is another one outside Linux
    return float(coordinator["txidle"] / 1e6) + (waited if 0 < waited < 60 else 0.0)


def batch_from(messages: list[Message], topic: str, batch_id: int, generation: int, unreadable: list[Unreadable]) -> EventBatch:
    """The messages as a batch; row i is message i."""
    count = len(messages)
    partitions = np.fromiter(map(Message.partition, messages), np.int32, count)
    offsets = np.fromiter(map(Message.offset, messages), np.int64, count)
    places = pl.DataFrame(
        {
            "row": np.arange(count, dtype=np.uint32),
            "topic": pl.repeat(topic, count, dtype=pl.String, eager=True),
            "partition": partitions,
            "offset": offsets,
        },
        schema=PLACES,
    )
    timestamps = np.fromiter(map(itemgetter(1), map(Message.timestamp, messages)), np.int64, count)
    origins = []
    for partition in np.unique(partitions):
        mine = partitions == partition
        span, times = offsets[mine], timestamps[mine]
        origins.append(Origin(topic, int(partition), int(span.min()), int(span.max()), int(times.min()), int(times.max())))
    now = int(time.time() * 1000)  # behind all that was read of its partition
    origins += [Origin(passed.topic, passed.partition, passed.first, passed.last, now, now) for passed in unreadable]
    return EventBatch(
        id=batch_id,
        events=places,
        raw=list(map(Message.value, messages)),
        keys=list(map(Message.key, messages)),
        origins=tuple(origins),
        read=count + len(unreadable),
        generation=generation,
        timestamps=timestamps,
        unreadable=unreadable,
    )
