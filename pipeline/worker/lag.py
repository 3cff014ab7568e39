"""Lag: how far behind each partition of this worker is, in records and in seconds.

Records: from the one after the last that landed to the end of the partition. A consumer that is paused, because ClickHouse is
away, hears of no new end: so the broker is asked every few seconds (`keep_asking_ends`).

Seconds: everything that came to the partition more than so many seconds ago has landed. The moment that is known to have landed
moves on with each batch that lands (the timestamp of its last record), and with each word from the broker that there is nothing
more; between these it stands, so the number grows while the broker or ClickHouse is away, whatever lies unread. Before the
first such fact there is no sample: unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.batch import Origin
from pipeline.clock import Clock, wall
from pipeline.monitoring import metrics

EVERY_S = 5.0
_FRESH_US = 5_000_000


class Lag:
    """Told by the poll thread and the landing agent, asked by a scrape. Restart: nothing is known."""

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock
        self._owned: set[int] = set()
        self._landed_until: dict[int, float] = {}
        self._read: dict[int, int] = {}
        self._landed: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._asked: dict[int, int] = {}
        self._lock = threading.Lock()

    def own(self, partitions: set[int]) -> None:
        """These are ours now, and no others."""
        with self._lock:
            for partition in self._owned - partitions:
                self._landed_until.pop(partition, None)
                for known in (self._read, self._landed, self._next, self._asked):
                    known.pop(partition, None)
                metrics.LAG_RECORDS.remove(str(partition))
                metrics.LAG_SECONDS.remove(str(partition))
            self._owned = set(partitions)

    def owned(self) -> set[int]:
        with self._lock:
            return set(self._owned)

    def starts(self, partition: int, offset: int) -> None:
        """A partition that is ours from now on is read from its committed offset."""
        with self._lock:
            self._next[partition] = offset

    def ends(self, ends: Mapping[int, int]) -> None:
        """The broker was asked where the partitions end."""
        with self._lock:
            self._asked |= {partition: end for partition, end in ends.items() if partition in self._owned}

    def read(self, origins: Iterable[Origin]) -> None:
        """A batch was read: what is before its first record has landed, or is on its way."""
        with self._lock:
            for origin in origins:
                self._read[origin.partition] = origin.last
                self._next.setdefault(origin.partition, origin.first)
                if origin.partition not in self._landed_until:
                    self._know(origin.partition, origin.first_ms / 1000)

    def landed(self, origins: Iterable[Origin]) -> None:
        with self._lock:
            for origin in (origin for origin in origins if origin.partition in self._owned):
                self._landed[origin.partition] = origin.last
                self._next[origin.partition] = origin.last + 1
                self._know(origin.partition, origin.last_ms / 1000)

    def told(self, stats: Mapping[str, Any], topic: str) -> None:
        """What librdkafka knows (its statistics): the ends of the partitions, as of the last answer of their brokers."""
        partitions = stats["topics"].get(topic, {}).get("partitions", {})
        metrics.TOPIC_PARTITIONS.set(sum(number.isdigit() for number in partitions))
        fresh = {b["nodeid"] for b in stats["brokers"].values() if b["state"] == "UP" and b["rxidle"] < _FRESH_US}
        with self._lock:
            for partition in self._owned:
                if (told := partitions.get(str(partition))) is None:
                    continue
                end = max(told["ls_offset"], self._asked.get(partition, -1))
                if end < 0:
                    continue
                records = self._records(partition, told, end)
                metrics.LAG_RECORDS.labels(str(partition)).set(records)
                if records == 0 and told["leader"] in fresh:
                    self._know(partition, self._clock())

    def _records(self, partition: int, told: Mapping[str, Any], end: int) -> int:
        # A transaction's marker is an offset that nobody reads: at the end of a partition it is no lag.
        if told["next_offset"] >= end and told["fetchq_cnt"] == 0 and self._read.get(partition) == self._landed.get(partition):
            return 0
        following = self._next.get(partition, max(0, told["lo_offset"]))  # without a commit: from the beginning
        return max(0, end - int(following))

    def _know(self, partition: int, until: float) -> None:
        if partition in self._owned:
            before = self._landed_until.get(partition)
            self._landed_until[partition] = until if before is None else max(before, until)
            if before is None:
                metrics.LAG_SECONDS.labels(str(partition)).set_function(lambda: self._seconds(partition))

    def _seconds(self, partition: int) -> float:
        until = self._landed_until.get(partition)
        return float("nan") if until is None else max(0.0, self._clock() - until)


def keep_asking_ends(admin: AdminClient, topic: str, lag: Lag) -> None:
    """Asks where the partitions end, every five seconds, on a daemon thread, for as long as the process lives."""

    def ask() -> None:
        pause = threading.Event()
        while not pause.wait(EVERY_S):
            if owned := lag.owned():
                with suppress(KafkaException):
                    lag.ends(_ends(admin, [TopicPartition(topic, partition) for partition in owned]))

    threading.Thread(target=ask, name="ends", daemon=True).start()


def _ends(admin: AdminClient, places: Iterable[TopicPartition]) -> dict[int, int]:
    """The ends that the broker tells; those it does not tell in time are left out."""
    wanted = {place: OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
    told = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=EVERY_S)
    found = {}
    for place, future in told.items():
        with suppress(KafkaException):
            found[place.partition] = int(future.result().offset)
    return found
