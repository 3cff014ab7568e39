"""Commits: the offsets of batches that have landed, until the group's coordinator has them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.batch import EventBatch, Partition
from pipeline.fence import Fence
from pipeline.monitoring import metrics

log = logging.getLogger("earshot.delivery")


class Commits:
    """For the poll thread; only `landed` is called by another, the landing agent."""

    def __init__(self, fence: Fence, clock: Callable[[], float] = time.monotonic) -> None:
        self._fence, self._clock = fence, clock
        self._lock = threading.Lock()
        self.reset()
        metrics.COMMIT_AGE.set_function(self.age)

    def reset(self) -> None:
        """Forgets everything: another consumer starts at the committed offsets."""
        self._landed: dict[Partition, int] = {}
        self._batches: list[int] = []
        self._sent: dict[Partition, int] = {}
        self._since: float | None = None

    def landed(self, batch: EventBatch) -> None:
        """The next `send` commits its offsets. Raises GivenUp when its generation is over: its records are read again."""
        with self._lock:
            self._fence.check(batch.generation)
            for origin in batch.origins:
                self._landed[origin.topic, origin.partition] = origin.last + 1
            self._batches.append(batch.id)
            if self._landed and self._since is None:
                self._since = self._clock()

    def send(self, consumer: Consumer | None, wait: bool = False) -> None:
        """Commits. After a commit that fails the records are read again, and known: they do no harm."""
        with self._lock:
            offsets = [TopicPartition(*partition, offset) for partition, offset in self._landed.items()]
            self._sent |= self._landed
            batches, self._landed, self._batches = self._batches, {}, []
        if not offsets or consumer is None:
            return
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
                self._done()
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.warning("commit: %s", error)
            return
        for batch in batches:
            log.debug("batch %d committed", batch)

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The result of an asynchronous commit. The next `send` repeats a commit that a rebalance overtook."""
        with self._lock:
            for each in partitions:
                partition = (each.topic, each.partition)
                if (error or each.error) and partition in self._sent:
                    # Never an older offset than was sent since: a commit may go backwards.
                    self._landed.setdefault(partition, self._sent[partition])
        if not error and not any(partition.error for partition in partitions):
            self._done()

    def drop(self, partitions: set[Partition], none_left: bool) -> None:
        """Partitions that left: another worker commits their offsets."""
        with self._lock:
            for partition in partitions:
                self._landed.pop(partition, None)
                self._sent.pop(partition, None)
            if none_left:
                self._since = None

    def age(self) -> float:
        """Seconds since the oldest landing that is not committed; 0: all are."""
        since = self._since
        return 0.0 if since is None else self._clock() - since

    def _done(self) -> None:
        with self._lock:
            self._since = self._clock() if self._landed else None
