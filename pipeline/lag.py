"""Lag: how far behind each partition of this worker is, in records and in seconds.

Seconds: everything that came to the partition more than so many seconds ago has landed. The moment that is known to have landed
moves on with each batch that lands (the timestamp of its last record), and with each word from the broker that there is nothing
more; between these it stands, so the number grows while the broker or ClickHouse is away, whatever lies unread. Before the
first such fact there is no sample: unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import metrics
from pipeline.batch import Origin
from pipeline.clock import Clock, wall

_FRESH_US = 5_000_000


class Lag:
    """Told by the poll thread and the landing agent, asked by a scrape. Restart: nothing is known."""

    def __init__(self, clock: Clock = wall) -> None:
        self._clock = clock
        self._owned: set[int] = set()
        self._landed_until: dict[int, float] = {}
        self._read: dict[int, int] = {}
        self._landed: dict[int, int] = {}
        self._lock = threading.Lock()

    def own(self, partitions: set[int]) -> None:
        """These are ours now, and no others."""
        with self._lock:
            for partition in self._owned - partitions:
                self._landed_until.pop(partition, None)
                self._read.pop(partition, None)
                self._landed.pop(partition, None)
                metrics.LAG_RECORDS.remove(str(partition))
                metrics.LAG_SECONDS.remove(str(partition))
            self._owned = set(partitions)

    def read(self, origins: Iterable[Origin]) -> None:
        """A batch was read: what is before its first record has landed, or is on its way."""
        with self._lock:
            for origin in origins:
                self._read[origin.partition] = origin.last
                if origin.partition not in self._landed_until:
                    self._know(origin.partition, origin.first_ms / 1000)

    def landed(self, origins: Iterable[Origin]) -> None:
        with self._lock:
            for origin in origins:
                self._landed[origin.partition] = origin.last
                self._know(origin.partition, origin.last_ms / 1000)

    def told(self, stats: Mapping[str, Any], topic: str) -> None:
        """What librdkafka knows (its statistics): the ends of the partitions, as of the last answer of their brokers."""
        partitions = stats["topics"].get(topic, {}).get("partitions", {})
        metrics.TOPIC_PARTITIONS.set(sum(number.isdigit() for number in partitions))
        fresh = {b["nodeid"] for b in stats["brokers"].values() if b["state"] == "UP" and b["rxidle"] < _FRESH_US}
        with self._lock:
            for partition in self._owned:
                if (told := partitions.get(str(partition))) is None or told["ls_offset"] < 0:
                    continue
                records = self._records(partition, told)
                metrics.LAG_RECORDS.labels(str(partition)).set(records)
                if records == 0 and told["leader"] in fresh:
                    self._know(partition, self._clock())

    def _records(self, partition: int, told: Mapping[str, Any]) -> int:
        # A transaction's marker is an offset that nobody reads or commits: at the end of a partition it is no lag.
        if (
            told["next_offset"] >= told["ls_offset"]
            and told["fetchq_cnt"] == 0
            and self._read.get(partition) == self._landed.get(partition)
        ):
            return 0
        if told["consumer_lag"] >= 0:
            return int(told["consumer_lag"])
        return int(told["ls_offset"] - max(0, told["lo_offset"]))  # nothing is committed yet

    def _know(self, partition: int, until: float) -> None:
        if partition in self._owned:
            before = self._landed_until.get(partition)
            self._landed_until[partition] = until if before is None else max(before, until)
            if before is None:
                metrics.LAG_SECONDS.labels(str(partition)).set_function(lambda: self._seconds(partition))

    def _seconds(self, partition: int) -> float:
        until = self._landed_until.get(partition)
        return float("nan") if until is None else max(0.0, self._clock() - until)
