"""The changes that wait for their event: the newest in memory, the others in table pending_changes, where all of them are.

Whole in memory are `limit` changes, 1 to 1.7 kB each, and those of batches on their way. Of what waits beyond that, the newest
KEYS have their event's key remembered (13 bytes), so that their rows are fetched when a create of theirs comes. All of it is
looked at slice by slice as well, from one end of the table to the other and again: its event may have come by another worker.

Of the events that come with a batch, COME_AT_ONCE changes of memory and as many of the table go with it; the others go with
the next batches, and until then the creates are kept: so one event has any number of changes at a bounded cost of memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Container
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.batch import Partition
from pipeline.clock import Clock
from pipeline.processors.keys import Keys, KeySet

IN_MEMORY = 50_000
KEYS = 1_000_000
LOOK_AT_ONCE = 5_000
"""How many are looked up with one batch at most, but for those whose event has come."""
COME_AT_ONCE = 10_000
"""How many of those whose event has come; 7 kB each while the batch is completed."""
_COME = -1.0
"""check_at of those whose event has come."""
_FIRST_CHECK_S = 5.0
_SLICE_EVERY_S = 5.0
_CHUNKS = 32
_SHARE = 20
"""A look at what waits, but for what has come, that takes a second is the last one for twenty."""
SAME = ["event_key", "revision"]


class Loaded(NamedTuple):
    """What waits in the table, as a worker takes it over."""

    newest: pl.DataFrame
    """Whole."""
    keys: pl.DataFrame
    """event_key, revision, topic and partition of the newest KEYS, those of `newest` among them."""

    def of(self, places: Container[Partition]) -> Loaded:
        """What waits of these partitions."""
        return Loaded(_within(self.newest, places), _within(self.keys, places))


class Pending(Protocol):
    """What is asked of table pending_changes. Its rows are whole changes, as they are kept here."""

    def of(self, keys: pl.Series, last: tuple[int, int], count: int) -> pl.DataFrame:
        """The first `count` changes of these events that wait, by event_key and revision, after the one that is `last`.

        No key is below that of `last`."""
        ...

    def after(self, last: tuple[int, int], places: Collection[Partition], count: int) -> pl.DataFrame:
        """The first `count` changes of these partitions that wait, by event_key and revision, after the one that is `last`."""
        ...


class Waiting:
    """Restart: it is empty; `load` brings back what waits of partitions that are assigned. For one thread, but for `load`,
    `forget`, `give_up` and `give_up_all`, which are done by that thread with its next `due`, and `finish`."""

    def __init__(self, seconds: float, limit: int, pending: Pending | None, clock: Clock) -> None:
        self._seconds, self._limit, self._pending, self._clock = seconds, limit, pending, clock
        self._inbox: deque[Callable[[], None]] = deque()
        self._clear()

    def _clear(self) -> None:
        self._rows: pl.DataFrame | None = None
        self.beyond = 0
        """How many wait in the table alone; counted anew by each round of slices, never too few."""
        self._keys = KeySet(KEYS, self._seconds, self._clock)
        self._places: set[Partition] = set()
        # Of batches on their way: what is settled is marked done when they land, and until then the table gives it back.
        self._settled: dict[int, pl.DataFrame] = {}
        # What these let wait is in memory alone.
        self._not_landed: set[int] = set()
        self._last, self._round = (0, 0), 0
        self._looked, self._next_look, self._next_slice = False, 0.0, 0.0
        # Events that have come, whose changes in the table were fetched up to one of them.
        self._fetching: deque[tuple[pl.Series, tuple[int, int]]] = deque()
        self.creates: pl.DataFrame | None = None
        self._kept: pl.DataFrame | None = None

    @property
    def in_memory(self) -> int:
        return 0 if self._rows is None else self._rows.height

    def __len__(self) -> int:
        """How many wait, what is still to be taken over counted as one."""
        return self.in_memory + self.beyond + len(self._inbox)

    def load(self, loaded: Loaded, places: Collection[Partition]) -> None:
        """These partitions are ours, and this waits of them; it is looked up with the next batches. From any thread."""
        self._inbox.append(lambda: self._load(loaded, places))

    def forget(self, places: Container[Partition]) -> None:
        """These partitions went to another worker. From any thread."""
        self._inbox.append(lambda: self._forget(places))

    def give_up_all(self) -> None:
        """No batch is on its way any more; what waits is loaded again with the partitions. From any thread."""
        self._inbox.append(self._clear)

    def finish(self, batch_id: int, refused: Keys) -> None:
        """The batch has landed, but for these revisions, which ClickHouse refused: they do not wait. From any thread."""
        if len(refused):
            gone = pl.Series(refused, dtype=pl.UInt64).implode()
            self._inbox.append(lambda: self._drop(pl.col("revision").is_in(gone)))
        self._settled.pop(batch_id, None)
        self._not_landed.discard(batch_id)

    def give_up(self, batch_id: int) -> None:
        """The batch never lands: what it let wait is read again. From any thread."""
        self._inbox.append(lambda: self._give_up(batch_id))

    def due(self, creates: pl.DataFrame) -> pl.DataFrame | None:
        """The changes to look at with a batch that has these creates: theirs, and those not looked at for a while.

        Of the events of `self.creates`, which came with batches before, there may be changes among them."""
        while self._inbox:
            self._inbox.popleft()()
        created = creates.get_column("event_key")
        timed = self._clock() >= self._next_look
        due = self._due_in_memory(created, timed), self._due_in_table(created, timed)
        found = [rows for rows in due if rows is not None]
        self.creates = self._kept
        self._keep_creates(creates)
        return pl.concat(found, how="diagonal_relaxed") if found else None

    def _keep_creates(self, creates: pl.DataFrame) -> None:
        """Keeps the creates of events of which not all changes have been given out."""
        keys = [keys for keys, _ in self._fetching]
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
        """How long it took to find what was due and to look at it."""
        if self._looked:
            self._next_look = self._clock() + _SHARE * seconds
            self._looked = False

    def add(self, changes: pl.DataFrame, batch_id: int) -> pl.DataFrame:
        """These of the batch's changes wait from now on; returns them as the table is to have them, once the batch lands."""
        now = self._clock()
        check_at = now + min(_FIRST_CHECK_S, self._seconds)
        changes = changes.with_columns(arrived_at=pl.lit(now), check_at=pl.lit(check_at), batch=pl.lit(batch_id, pl.Int64))
        self._rows = _append(self._rows, changes.with_columns(row=pl.lit(None, pl.UInt32)))
        self._not_landed.add(batch_id)
        self._keep_within_limit()
        return changes

    def settle(self, changes: pl.DataFrame, batch_id: int) -> None:
        """These need not wait any more; the batch's landing says so to the table."""
        self._settled[batch_id] = changes.select(SAME)
        if self._rows is not None:
            self._keep(_without(self._rows, [changes]))

    def _due_in_memory(self, created: pl.Series, timed: bool) -> pl.DataFrame | None:
        if self._rows is None:
            return None
        now = self._clock()
        come = pl.col("event_key").is_in(created.implode())
        self._rows = self._rows.with_columns(check_at=pl.when(come).then(_COME).otherwise("check_at"))
        look = self._rows.select(_look(now if timed else _COME)).to_series()
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
        if not self.beyond or self._pending is None:
            return None
        # Before the table is asked: what lands meanwhile is in this, or marked done in the answer.
        known = [*self._settled.values(), *([] if self._rows is None else [self._rows])]
        come = created.filter(pl.Series(self._keys.contains(created.to_numpy()), dtype=pl.Boolean)).unique()
        found = [_within(rows, self._places) for rows in self._fetch(come)]
        if timed and self._clock() >= self._next_slice:
            found.append(self._slice(known))
        if not found:
            return None
        rows = _without(pl.concat(found).unique(SAME, maintain_order=True), known)
        return rows if rows.height else None

    def _fetch(self, come: pl.Series) -> list[pl.DataFrame]:
        """Changes of events that have come, COME_AT_ONCE of them at most; the next call goes on after those."""
        assert self._pending is not None
        for keys, _ in self._fetching:
            come = come.filter(~come.is_in(keys.implode()))
        if len(come):
            self._fetching.append((come, (0, 0)))
        found, room = [], COME_AT_ONCE
        while self._fetching and room:
            keys, last = self._fetching.popleft()
            found.append(self._pending.of(keys, last, room))
            if found[-1].height == room:
                last = found[-1].select(SAME).row(-1)
                self._fetching.appendleft((keys.filter(keys >= last[0]), last))
            room -= found[-1].height
        return found

    def _slice(self, known: list[pl.DataFrame]) -> pl.DataFrame:
        """The next ones of the table; at its end the round is over, and what it met is what waits there."""
        assert self._pending is not None
        rows = self._pending.after(self._last, self._places, LOOK_AT_ONCE)
        self._round += _without(rows, known).height
        if rows.height < LOOK_AT_ONCE:
            self.beyond, self._round, self._last = self._round, 0, (0, 0)
        else:
            self._last = rows.select(SAME).row(-1)
        self._looked, self._next_slice = True, self._clock() + _SLICE_EVERY_S
        return rows

    def _keep_within_limit(self) -> None:
        """Leaves the oldest to the table, those of batches that have landed: the others are not there yet. Those whose event
        has come stay, for they go with the next batches."""
        if self._pending is None or self._rows is None or self._rows.height <= self._limit:
            return
        there = self._rows.filter(pl.Series([batch not in self._not_landed for batch in self._rows.get_column("batch")]))
        there = there.filter(pl.col("check_at") != _COME)
        # Some more than it takes: each time costs a copy of what stays.
        leave = there.sort("arrived_at", maintain_order=True).head(self._rows.height - self._limit + self._limit // 8)
        self._leave(leave)
        self._keep(_without(self._rows, [leave]))

    def _leave(self, rows: pl.DataFrame) -> None:
        self._keys.add(rows.get_column("event_key").to_numpy())
        self.beyond += rows.height
        # What this round has gone past already.
        self._round += rows.filter(pl.col("event_key") <= self._last[0]).height

    def _keep(self, rows: pl.DataFrame) -> None:
        self._rows = rows if rows.height else None

    def _load(self, loaded: Loaded, places: Collection[Partition]) -> None:
        self._places |= set(places)
        if loaded.newest.height:
            self._keep(_append(self._rows, loaded.newest).unique(SAME, maintain_order=True))
        self._leave(_without(loaded.keys, [] if self._rows is None else [self._rows]))
        self._keep_within_limit()

    def _forget(self, places: Container[Partition]) -> None:
        self._places = {place for place in self._places if place not in places}
        if self._rows is not None:
            self._keep(_without(self._rows, [_within(self._rows, places)]))

    def _give_up(self, batch_id: int) -> None:
        self._drop(pl.col("batch") == batch_id)
        self._settled.pop(batch_id, None)
        self._not_landed.discard(batch_id)

    def _drop(self, which: pl.Expr) -> None:
        if self._rows is not None:
            self._keep(self._rows.remove(which))


def _look(now: float) -> pl.Expr:
    """Which to look at: the first of those whose event has come, and those whose time has come for the longest."""
    come = pl.col("check_at") == _COME
    timed = ~come & (pl.col("check_at") <= now)
    longest = pl.when(timed).then("check_at").rank("ordinal") <= LOOK_AT_ONCE
    return (come & (come.cum_sum() <= COME_AT_ONCE)) | (timed & longest.fill_null(False))


def _within(frame: pl.DataFrame, places: Container[Partition]) -> pl.DataFrame:
    there = frame.select("topic", "partition").unique()
    ours = there.filter(pl.Series([place in places for place in there.iter_rows()], dtype=pl.Boolean))
    return frame.join(ours, on=["topic", "partition"], how="semi")


def _without(frame: pl.DataFrame, others: list[pl.DataFrame]) -> pl.DataFrame:
    if not frame.height or not others:
        return frame
    return frame.join(pl.concat([rows.select(SAME) for rows in others]), on=SAME, how="anti")


def _append(frame: pl.DataFrame | None, rows: pl.DataFrame) -> pl.DataFrame:
    if frame is None:
        return rows
    together = pl.concat([frame, rows], how="diagonal_relaxed")
    # A chunk of a few rows costs some 80 kB, and each look goes through all of them.
    return together.rechunk() if together.n_chunks() > _CHUNKS else together
