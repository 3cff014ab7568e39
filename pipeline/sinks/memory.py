"""Tables `interactions` and `pending_changes` in memory, and a landing into them: for tests, dry runs and benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from pipeline.batch import EventBatch, Partition
from pipeline.processors.waiting import Loaded
from pipeline.processors.waiting_table import SAME


class MemoryTable:
    """Keeps every row that is inserted; `final` answers as ReplacingMergeTree's FINAL does, tombstones included."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame()

    def insert(self, rows: pl.DataFrame) -> None:
        """Adds rows with the columns of the table."""
        self.rows = pl.concat([self.rows, rows], how="diagonal_relaxed") if self.rows.width else rows

    def final(self) -> pl.DataFrame:
        """The newest row of each event."""
        return self.rows.sort("version", maintain_order=True).unique("event_key", keep="last", maintain_order=True)

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest stored row of each event (`completion.Stored`)."""
        return self.final().join(keys, on="event_key", how="semi") if self.rows.width else self.rows

    def landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Which of the changes have a row (`completion.Stored`)."""
        return self.rows.select(SAME).join(changes, on=SAME, how="semi") if self.rows.width else changes.select(SAME).clear()


class MemoryPending:
    """Keeps the waiting changes (`waiting_table.Pending`)."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame()

    def land(self, batch: EventBatch) -> None:
        """Writes the batch's waiting changes, and takes out those that need not wait any more."""
        if batch.waiting is not None:
            new = batch.waiting.with_columns(row=pl.lit(None, pl.UInt32), batch=pl.lit(None, pl.Int64), check_at=pl.lit(0.0))
            self.rows = pl.concat([self.rows, new], how="diagonal_relaxed") if self.rows.width else new
        if batch.settled_changes is not None:
            self.rows = self.rows.join(batch.settled_changes, on=SAME, how="anti")

    def waiting(self, limit: int) -> Loaded:
        """All waiting changes, the newest `limit` whole."""
        rows = self.rows.sort("arrived_at", descending=True, maintain_order=True)
        return Loaded(rows.head(limit), rows.select(*SAME, "topic", "partition"))

    def of(self, keys: pl.Series, last: tuple[int, int], count: int) -> pl.DataFrame:
        """As waiting_table.Pending says."""
        return self.rows.filter(pl.col("event_key").is_in(keys.implode())).filter(_beyond(last)).sort(SAME).head(count)

    def after(self, last: tuple[int, int], partitions: Collection[Partition], count: int) -> pl.DataFrame:
        """As waiting_table.Pending says."""
        ours = pl.Series(
            [partition in partitions for partition in self.rows.select("topic", "partition").iter_rows()], dtype=pl.Boolean
        )
        return self.rows.filter(ours).filter(_beyond(last)).sort(SAME).head(count)


class MemoryLanding:
    """Lands batches in tables in memory (`hot_path.Lands`); `refused` are the revisions that it reports as refused."""

    def __init__(self, table: MemoryTable | None = None, pending: MemoryPending | None = None) -> None:
        self._table, self._pending = table, pending
        self.refused: list[int] = []

    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        """Returns `refused`."""
        for batch in batches:
            if self._table is not None:
                self._table.insert(batch.events)
            if self._pending is not None:
                self._pending.land(batch)
        return self.refused


def _beyond(last: tuple[int, int]) -> pl.Expr:
    return (pl.col("event_key") > last[0]) | ((pl.col("event_key") == last[0]) & (pl.col("revision") > last[1]))
