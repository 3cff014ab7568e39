"""The waiting changes that are in table pending_changes alone: which of them go with a batch.

The newest KEYS of them have their event's key remembered (13 bytes), so that their rows are fetched when a create of theirs
comes. All of them are looked at slice by slice as well, from one end of the table to the other and again, because their event
may have come by another worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.batch import Partition
from pipeline.clock import Clock
from pipeline.processors.keys import KeySet

KEYS = 1_000_000
_SLICE_EVERY_S = 5.0
SAME = ["event_key", "revision"]
"""The key of a change."""


class Bounds(NamedTuple):
    """How many waiting changes may be where, in rows."""

    in_memory: int = 50_000
    look_at_once: int = 5_000
    """Most that are looked up with one batch, besides those whose event has come."""
    come_at_once: int = 10_000
    """Most of those whose event has come that go with one batch; each takes 7 kB while the batch is completed."""


class Pending(Protocol):
    """The queries to table pending_changes. Its rows are whole changes, with the columns that Waiting keeps."""

    def of(self, keys: pl.Series, last: tuple[int, int], count: int) -> pl.DataFrame:
        """The first `count` waiting changes of these events after change `last`, by event_key and revision.

        No key is below that of `last`."""
        ...

    def after(self, last: tuple[int, int], partitions: Collection[Partition], count: int) -> pl.DataFrame:
        """The first `count` waiting changes of these partitions after change `last`, by event_key and revision."""
        ...


class WaitingTable:
    """For one thread. Restart: it knows of no change in the table. Without `pending` it fetches none."""

    def __init__(self, seconds: float, bounds: Bounds, pending: Pending | None, clock: Clock) -> None:
        self._bounds, self._pending, self._clock = bounds, pending, clock
        self.count = 0
        """How many wait in the table alone; each round of slices counts anew, never too few."""
        self._keys = KeySet(KEYS, seconds, clock)
        self._last, self._round = (0, 0), 0
        self._next_slice = 0.0
        # Events that have come, and the last of their changes in the table that was fetched.
        self._fetching: deque[tuple[pl.Series, tuple[int, int]]] = deque()

    def leave(self, rows: pl.DataFrame) -> None:
        """These changes are in the table alone from now on."""
        self._keys.add(rows.get_column("event_key").to_numpy())
        self.count += rows.height
        # Those that this round has passed already.
        self._round += rows.filter(pl.col("event_key") <= self._last[0]).height

    def fetching(self) -> list[pl.Series]:
        """The keys of events that have come, some of whose changes are still to be fetched."""
        return [keys for keys, _ in self._fetching]

    def slice_due(self) -> bool:
        return self.count > 0 and self._pending is not None and self._clock() >= self._next_slice

    def due(
        self, created: pl.Series, with_slice: bool, partitions: Collection[Partition], known: list[pl.DataFrame]
    ) -> pl.DataFrame | None:
        """The changes of the events `created` and, if asked, the next slice, without those that are `known` elsewhere.

        The caller has collected `known` before this queries the table: a change that lands meanwhile is in `known`, or marked
        as done in the answer."""
        if not self.count or self._pending is None:
            return None
        come = created.filter(pl.Series(self._keys.contains(created.to_numpy()), dtype=pl.Boolean)).unique()
        fetched = [within(rows, partitions) for rows in self._fetch(self._pending, come)]
        if with_slice:
            fetched.append(self._slice(self._pending, partitions, known))
        if not fetched:
            return None
        rows = without(pl.concat(fetched).unique(SAME, maintain_order=True), known)
        return rows if rows.height else None

    def _fetch(self, pending: Pending, come: pl.Series) -> list[pl.DataFrame]:
        """Changes of events that have come, `come_at_once` of them at most; the next call continues after those."""
        for keys in self.fetching():
            come = come.filter(~come.is_in(keys.implode()))
        if len(come):
            self._fetching.append((come, (0, 0)))
        fetched, room = [], self._bounds.come_at_once
        while self._fetching and room:
            keys, last = self._fetching.popleft()
            fetched.append(pending.of(keys, last, room))
            if fetched[-1].height == room:
                last = fetched[-1].select(SAME).row(-1)
                self._fetching.appendleft((keys.filter(keys >= last[0]), last))
            room -= fetched[-1].height
        return fetched

    def _slice(self, pending: Pending, partitions: Collection[Partition], known: list[pl.DataFrame]) -> pl.DataFrame:
        """The next changes of the table. At its end the round is over, and `count` is how many the round has met."""
        rows = pending.after(self._last, partitions, self._bounds.look_at_once)
        self._round += without(rows, known).height
        if rows.height < self._bounds.look_at_once:
            self.count, self._round, self._last = self._round, 0, (0, 0)
        else:
            self._last = rows.select(SAME).row(-1)
        self._next_slice = self._clock() + _SLICE_EVERY_S
        return rows


def within(frame: pl.DataFrame, partitions: Container[Partition]) -> pl.DataFrame:
    """The rows that came from these partitions."""
    there = frame.select("topic", "partition").unique()
    ours = there.filter(pl.Series([partition in partitions for partition in there.iter_rows()], dtype=pl.Boolean))
    return frame.join(ours, on=["topic", "partition"], how="semi")


def without(frame: pl.DataFrame, others: list[pl.DataFrame]) -> pl.DataFrame:
    """The changes that are in none of the others."""
    if not frame.height or not others:
        return frame
    return frame.join(pl.concat([rows.select(SAME) for rows in others]), on=SAME, how="anti")
