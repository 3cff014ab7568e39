"""The rows that wait for their label: their keys, not their texts."""

from __future__ import annotations

import threading
from collections.abc import Collection

import polars as pl

from schemas.times import TIME

SCHEMA = {"event_key": pl.UInt64(), "created_at": TIME, "partition": pl.Int32()}
KEPT = 50_000


class Backlog:
    """The newest `kept` of them, newest first; `cut`: there are more. Thread-safe.

    Some may not wait any more: whoever takes them checks. Some 20 bytes a row.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._rows = pl.DataFrame(schema=SCHEMA)
        self._new: list[pl.DataFrame] = []
        self._lock = threading.Lock()
        self.cut = False

    def add(self, rows: pl.DataFrame) -> None:
        with self._lock:
            self._new.append(rows.select(SCHEMA.keys()))
            if sum(frame.height for frame in self._new) > self._kept:
                self._sort()

    def take(self, count: int) -> pl.DataFrame:
        """Takes out the newest."""
        with self._lock:
            self._sort()
            taken, self._rows = self._rows.head(count), self._rows.slice(count)
            return taken

    def forget(self, partitions: Collection[int]) -> None:
        with self._lock:
            self._sort()
            self._rows = self._rows.filter(~pl.col("partition").is_in(list(partitions)))

    def __len__(self) -> int:
        with self._lock:
            return self._rows.height + sum(frame.height for frame in self._new)

    def _sort(self) -> None:
        if not self._new:
            return
        rows = pl.concat([self._rows, *self._new]).sort("created_at", descending=True).unique("event_key", maintain_order=True)
        self._new.clear()
        self.cut = self.cut or rows.height > self._kept
        self._rows = rows.head(self._kept)
