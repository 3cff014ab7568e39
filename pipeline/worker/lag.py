"""Lag: how far behind each partition of this worker is, in records and in seconds.

Records: those after the last one that landed, up to the end of the partition. A consumer that is paused, because ClickHouse is
away, gets no new end, so a thread asks the broker every few seconds (`keep_asking_ends`).

Seconds: every record that came to the partition longer ago has landed. This moment moves on with each batch that lands (the
timestamp of its last record), and with each answer of the broker that there are no more records; between these it stands still,
so the lag grows while the broker or ClickHouse is away, whatever lies unread. Before the first such fact there is no sample.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from pipeline.batch import Origin
from pipeline.clock import Clock, wall
from pipeline.monitoring import metrics
from schemas.untyped import JsonObject

EVERY_S = 5.0
_FRESH_US = 5_000_000


class Lag:
    """Poll thread and landing agent report to it, a scrape reads it. Restart: nothing is known."""

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
        """This worker owns these partitions, and no others."""
        with self._lock:
            for partition in self._owned - partitions:
                self._landed_until.pop(partition, None)
                for known in (self._read, self._landed, self._next, self._asked):
                    known.pop(partition, None)
                metrics.LAG_RECORDS.remove(str(partition))
                metrics.LAG_SECONDS.remove(str(partition))
            self._owned = set(partitions)

    def owned(self) -> set[int]:
        """The partitions of this worker."""
        with self._lock:
            return set(self._owned)

    def starts(self, partition: int, offset: int) -> None:
        """Reading of a new partition starts at its committed offset."""
        with self._lock:
            self._next[partition] = offset

    def ends(self, ends: Mapping[int, int]) -> None:
        """The ends of partitions, from the broker."""
        with self._lock:
            self._asked |= {partition: end for partition, end in ends.items() if partition in self._owned}

    def read(self, origins: Iterable[Origin]) -> None:
        """A batch was read: the records before its first one have landed, or are on their way."""
        with self._lock:
            for origin in origins:
                self._read[origin.partition] = origin.last
                self._next.setdefault(origin.partition, origin.first)
                if origin.partition not in self._landed_until:
                    self._know(origin.partition, origin.first_ms / 1000)

    def landed(self, origins: Iterable[Origin]) -> None:
        """A batch has landed."""
        with self._lock:
            for origin in (origin for origin in origins if origin.partition in self._owned):
                self._landed[origin.partition] = origin.last
                self._next[origin.partition] = origin.last + 1
                self._know(origin.partition, origin.last_ms / 1000)

    def statistics(self, stats: JsonObject, topic: str) -> None:
        """librdkafka's statistics: the ends of the partitions, from the last answer of their brokers."""
        partitions = stats["topics"].get(topic, {}).get("partitions", {})
        metrics.TOPIC_PARTITIONS.set(sum(number.isdigit() for number in partitions))
        fresh = {b["nodeid"] for b in stats["brokers"].values() if b["state"] == "UP" and b["rxidle"] < _FRESH_US}
        with self._lock:
            for partition in self._owned:
                if (known := partitions.get(str(partition))) is None:
                    continue
                end = max(known["ls_offset"], self._asked.get(partition, -1))
                if end < 0:
                    continue
                records = self._records(partition, known, end)
                metrics.LAG_RECORDS.labels(str(partition)).set(records)
                if records == 0 and known["leader"] in fresh:
                    self._know(partition, self._clock())

    def _records(self, partition: int, known: JsonObject, end: int) -> int:
        # The marker of a transaction is an offset without a record: at the end of a partition it is no lag.
        all_fetched = known["next_offset"] >= end and known["fetchq_cnt"] == 0
        if all_fetched and self._read.get(partition) == self._landed.get(partition):
            return 0
        following = self._next.get(partition, max(0, known["lo_offset"]))  # without a commit: from the beginning
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
    """Asks the broker for the ends of the partitions every five seconds, on a daemon thread, until the process ends."""

    def ask() -> None:
        pause = threading.Event()
        while not pause.wait(EVERY_S):
            if owned := lag.owned():
                with suppress(KafkaException):
                    lag.ends(_ends(admin, [TopicPartition(topic, partition) for partition in owned]))

    threading.Thread(target=ask, name="ends", daemon=True).start()


def _ends(admin: AdminClient, partitions: Iterable[TopicPartition]) -> dict[int, int]:
    """The ends of the partitions, without those that the broker does not answer in time."""
    wanted = {partition: OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
    answers = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=EVERY_S)
    ends = {}
    for partition, future in answers.items():
        with suppress(KafkaException):
            ends[partition.partition] = int(future.result().offset)
    return ends
