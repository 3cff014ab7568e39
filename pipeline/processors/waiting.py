"""The changes that wait for their event: the newest in memory, the others in table pending_changes, which has all of them.

Memory holds `Bounds.in_memory` whole changes, 1 to 1.7 kB each, and those of batches on their way; processors/waiting_table.py
has the others.

Of the events that come with a batch, `come_at_once` changes from memory and as many from the table go with it; the others go
with the next batches, and until then their creates are kept: one event may have any number of changes at a bounded cost of
memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Container
from typing import NamedTuple

import polars as pl

from pipeline.batch import Partition
from pipeline.clock import Clock
from pipeline.processors.keys import Keys
from pipeline.processors.waiting_table import SAME, Bounds, Pending, WaitingTable, within, without

BOUNDS = Bounds()
_COME = -1.0
"""check_at of changes whose event has come."""
_FIRST_CHECK_S = 5.0
_CHUNKS = 32
_SHARE = 20
"""After a look at waiting changes that takes a second, the next one comes 20 seconds later; changes whose event has come do not
wait for it."""


class Loaded(NamedTuple):
    """The waiting changes in the table when partitions are assigned."""

    newest: pl.DataFrame
    """Whole."""
    keys: pl.DataFrame
    """event_key, revision, topic and partition of the newest KEYS, those of `newest` among them."""

    def of(self, partitions: Container[Partition]) -> Loaded:
        """The waiting changes of these partitions."""
        return Loaded(within(self.newest, partitions), within(self.keys, partitions))


class Waiting:
    """Restart: it is empty; `load` brings back the waiting changes of assigned partitions. For one thread; others may call
    `load`, `left` and `given_up`, which this thread carries out with its next `due`, and `landed`."""

    def __init__(self, seconds: float, bounds: Bounds, pending: Pending | None, clock: Clock) -> None:
        self._seconds, self._bounds, self._pending, self._clock = seconds, bounds, pending, clock
        self._inbox: deque[Callable[[], None]] = deque()
        self._clear()

    def _clear(self) -> None:
        self._rows: pl.DataFrame | None = None
        self._table = WaitingTable(self._seconds, self._bounds, self._pending, self._clock)
        self._partitions: set[Partition] = set()
        # Changes that batches on their way have finished: they are marked as done when the batch lands, and until then the
        # table returns them.
        self._finished: dict[int, pl.DataFrame] = {}
        # Batches whose waiting changes are in memory alone.
        self._not_landed: set[int] = set()
        self._looked, self._next_look = False, 0.0
        self.creates: pl.DataFrame | None = None
        self._kept: pl.DataFrame | None = None

    @property
    def in_memory(self) -> int:
        return 0 if self._rows is None else self._rows.height

    @property
    def beyond(self) -> int:
        """How many wait in the table alone; never too few."""
        return self._table.count

    def __len__(self) -> int:
        """How many wait; each call of another thread that is still to be carried out counts as one."""
        return self.in_memory + self.beyond + len(self._inbox)

    def load(self, loaded: Loaded, partitions: Collection[Partition]) -> None:
        """This worker owns these partitions, with these waiting changes; the next batches look them up. From any thread."""
        self._inbox.append(lambda: self._load(loaded, partitions))

    def left(self, partitions: Collection[Partition] | None) -> None:
        """Another worker owns these partitions; None: all, and no batch is on its way any more. From any thread."""
        if partitions is None:
            self._inbox.append(self._clear)
        elif partitions:
            self._inbox.append(lambda: self._leave(partitions))

    def landed(self, batch_id: int, refused: Keys) -> None:
        """The batch has landed, except these revisions, which ClickHouse refused: they do not wait. From any thread."""
        if len(refused):
            gone = pl.Series(refused, dtype=pl.UInt64).implode()
            self._inbox.append(lambda: self._drop(pl.col("revision").is_in(gone)))
        self._finished.pop(batch_id, None)
        self._not_landed.discard(batch_id)

    def given_up(self, batch_id: int) -> None:
        """The batch never lands: the changes that it let wait are read again. From any thread."""
        self._inbox.append(lambda: self._give_up(batch_id))

    def due(self, creates: pl.DataFrame) -> pl.DataFrame | None:
        """The changes to look at with a batch that has these creates: theirs, and those not looked at for a while.

        Some of them may belong to the events of `self.creates`, which came with batches before."""
        while self._inbox:
            self._inbox.popleft()()
        created = creates.get_column("event_key")
        timed = self._clock() >= self._next_look
        due = self._due_in_memory(created, timed), self._due_in_table(created, timed)
        rows = [part for part in due if part is not None]
        self.creates = self._kept
        self._keep_creates(creates)
        return pl.concat(rows, how="diagonal_relaxed") if rows else None

    def _keep_creates(self, creates: pl.DataFrame) -> None:
        """Keeps the creates of events that still have changes for the next batches."""
        keys = self._table.fetching()
        if self._rows is not None:
            keys.append(self._rows.filter(pl.col("check_at") == _COME).get_column("event_key"))
        if not sum(map(len, keys)):
            self._kept = None
            return
        known = creates if self._kept is None else pl.concat([self._kept, creates], how="diagonal_relaxed")
        left = known.filter(pl.col("event_key").is_in(pl.concat(keys).implode()))
        self._kept = left.unique("event_key", keep="last", maintain_order=True)

    def too_old(self) -> pl.Expr:
        return pl.col("arrived_at") + self._seconds <= self._clock()

    def took(self, seconds: float) -> None:
        """How long it took to collect the due changes and to look them up."""
        if self._looked:
            self._next_look = self._clock() + _SHARE * seconds
            self._looked = False

    def add(self, changes: pl.DataFrame, batch_id: int) -> pl.DataFrame:
        """These changes of the batch wait from now on; returns them as the table gets them when the batch lands."""
        now = self._clock()
        check_at = now + min(_FIRST_CHECK_S, self._seconds)
        changes = changes.with_columns(arrived_at=pl.lit(now), check_at=pl.lit(check_at), batch=pl.lit(batch_id, pl.Int64))
        self._rows = _append(self._rows, changes.with_columns(row=pl.lit(None, pl.UInt32)))
        self._not_landed.add(batch_id)
        self._keep_within_limit()
        return changes

    def finish(self, changes: pl.DataFrame, batch_id: int) -> None:
        """These need not wait any more; when the batch lands, the table marks them as done."""
        self._finished[batch_id] = changes.select(SAME)
        if self._rows is not None:
            self._keep(without(self._rows, [changes]))

    def _due_in_memory(self, created: pl.Series, timed: bool) -> pl.DataFrame | None:
        if self._rows is None:
            return None
        now = self._clock()
        come = pl.col("event_key").is_in(created.implode())
        self._rows = self._rows.with_columns(check_at=pl.when(come).then(_COME).otherwise("check_at"))
        look = self._rows.select(_look(now if timed else _COME, self._bounds)).to_series()
        if not look.any():
            return None
        due = self._rows.filter(look)
        self._looked |= bool((due.get_column("check_at") > _COME).any())
        # Each look doubles the time to the next: a change that waits for a week is looked up some 17 times.
        later = now + (now - pl.col("arrived_at")).clip(_FIRST_CHECK_S)
        next_check = pl.min_horizontal(later, pl.col("arrived_at") + self._seconds)
        self._rows = self._rows.with_columns(check_at=pl.when(look).then(next_check).otherwise("check_at"))
        return due

    def _due_in_table(self, created: pl.Series, timed: bool) -> pl.DataFrame | None:
        known = [*self._finished.values(), *([] if self._rows is None else [self._rows])]
        with_slice = timed and self._table.slice_due()
        self._looked |= with_slice
        return self._table.due(created, with_slice, self._partitions, known)

    def _keep_within_limit(self) -> None:
        """Leaves the oldest to the table, if their batch has landed: the others are not in the table yet. Changes whose event
        has come stay, because they go with the next batches."""
        limit = self._bounds.in_memory
        if self._pending is None or self._rows is None or self._rows.height <= limit:
            return
        there = self._rows.filter(pl.Series([batch not in self._not_landed for batch in self._rows.get_column("batch")]))
        there = there.filter(pl.col("check_at") != _COME)
        # Some more than necessary: each time costs a copy of the rows that stay.
        leave = there.sort("arrived_at", maintain_order=True).head(self._rows.height - limit + limit // 8)
        self._table.leave(leave)
        self._keep(without(self._rows, [leave]))

    def _keep(self, rows: pl.DataFrame) -> None:
        self._rows = rows if rows.height else None

    def _load(self, loaded: Loaded, partitions: Collection[Partition]) -> None:
        self._partitions |= set(partitions)
        if loaded.newest.height:
            self._keep(_append(self._rows, loaded.newest).unique(SAME, maintain_order=True))
        self._table.leave(without(loaded.keys, [] if self._rows is None else [self._rows]))
        self._keep_within_limit()

    def _leave(self, partitions: Collection[Partition]) -> None:
        self._partitions -= set(partitions)
        if self._rows is not None:
            self._keep(without(self._rows, [within(self._rows, partitions)]))

    def _give_up(self, batch_id: int) -> None:
        self._drop(pl.col("batch") == batch_id)
        self._finished.pop(batch_id, None)
        self._not_landed.discard(batch_id)

    def _drop(self, which: pl.Expr) -> None:
        if self._rows is not None:
            self._keep(self._rows.remove(which))


def _look(now: float, bounds: Bounds) -> pl.Expr:
    """Which to look at: the first changes whose event has come, and those whose time came longest ago."""
    come = pl.col("check_at") == _COME
    timed = ~come & (pl.col("check_at") <= now)
    longest = pl.when(timed).then("check_at").rank("ordinal") <= bounds.look_at_once
    return (come & (come.cum_sum() <= bounds.come_at_once)) | (timed & longest.fill_null(False))


def _append(frame: pl.DataFrame | None, rows: pl.DataFrame) -> pl.DataFrame:
    if frame is None:
        return rows
    together = pl.concat([frame, rows], how="diagonal_relaxed")
    # A chunk of a few rows costs some 80 kB, and each look goes through all of them.
    return together.rechunk() if together.n_chunks() > _CHUNKS else together
