"""MemoryTable: table `interactions` in memory, for tests, dry runs and benchmarks of steps."""

from __future__ import annotations

import polars as pl


class MemoryTable:
    """Keeps every row that is inserted; `final` answers as ReplacingMergeTree's FINAL does, tombstones included."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame()

    def insert(self, rows: pl.DataFrame) -> None:
        self.rows = pl.concat([self.rows, rows], how="diagonal_relaxed") if self.rows.width else rows

    def final(self) -> pl.DataFrame:
        return self.rows.sort("version", maintain_order=True).unique("event_key", keep="last", maintain_order=True)

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest stored row of each event (`completion.Stored`)."""
        return self.final().join(keys, on="event_key", how="semi") if self.rows.width else self.rows
