"""Completion: updates and deletes become whole rows.

A change finds its event in the batches on their way, else in the stored row (one look-up a batch), else it waits in
`pending_changes` until the event comes (processors/waiting.py). Any order of arrival of a create and its changes ends in the
same row (processors/merge.py). A change that changes nothing is a duplicate.

A change of an event that was dropped as irrelevant does not wait: the step drops it as well, for a stated reason, unless it
mentions a brand and has all fields that a create must have. Then it lands as its event's first row.

Creates are not looked up: their version is below that of any change, so ReplacingMergeTree orders them. Cost: one look-up for a
batch that holds changes, and the cost in processors/waiting.py. For a change without created_at whose event is not on its way,
the step searches the whole table: about a second for each 100 million rows, for all changes of a batch together. It searches
once when the change comes, because a stored event must be found at once, then while it waits, in a twentieth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch, Partition
from pipeline.clock import Clock, wall
from pipeline.processors.dedup import AGAIN, DUPLICATE
from pipeline.processors.keys import Keys, KeySet
from pipeline.processors.merge import FILLED, FIXED, GROUP_TIMES, NEVER, apply, bury, merge, prepare
from pipeline.processors.relevance import EVENT_IRRELEVANT, IRRELEVANT, LANDED_BEFORE, mentions_none, minute_of_dropped
from pipeline.processors.second_creates import HELPERS, MOVED, SECOND, as_updates, remember_timed, resolve
from pipeline.processors.waiting import BOUNDS, Waiting
from pipeline.processors.waiting_table import SAME, Bounds, Pending
from schemas.times import TIME

NO_BASE = "no base row"
DELETED = "deleted"
THERE = "there"
_STORED = "stored"
BEFORE = (
    "event_key", "version", "is_deleted", "created_at", "brands", "brands_given", "text", "language", "mentions",
    "author_followers", "metrics_likes", "metrics_shares", "metrics_replies", "sentiment_label",
    "sentiment_language",
)  # fmt: skip
"""The columns of `batch.before`: those that decide which minutes and brands an event counts for, and which rules it meets."""


class Stored(Protocol):
    """The queries of the step to the database."""

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each event that is stored, tombstones too.

        `keys`: event_key (UInt64), created_at (null when not known), and THERE, if it is true: the event has a row, maybe of
        another created_at. Returns event_key, version, the columns of an event,
        those that steps fill, and the row's topic, partition and offset.
        """
        ...

    def landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Which of the changes (event_key, revision, created_at of its event) have a row: event_key and revision."""
        ...


class Completion:
    """The step, and a BatchMemory: it sets `batch.before`, keeps the batches on their way, and in `held` the changes that wait.

    `pending` is the table that holds the waiting changes beyond `bounds`; without it all of them are in memory. `dropped` has
    the events whose create was dropped as irrelevant. `raised` is step privacy's: stored rows may have hashes of earlier keys.
    Restart: no batch is on its way, no change waits; `held.load` brings the waiting changes back when partitions are assigned.
    """

    name = "completion"

    def __init__(
        self,
        stored: Stored,
        waiting_s: float,
        pending: Pending | None = None,
        bounds: Bounds = BOUNDS,
        dropped: KeySet | None = None,
        clock: Clock = wall,
        raised: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows,
    ) -> None:
        self._stored, self._raised = stored, raised
        self.held = Waiting(waiting_s, bounds, pending, clock)
        self._dropped = dropped
        self._on_their_way: dict[int, pl.DataFrame] = {}

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return len(self.held)

    def process(self, batch: EventBatch) -> EventBatch:
        batch.events = prepare(as_updates(batch))
        is_change = batch.events.get_column("operation") != "create"
        batch.events = remember_timed(batch.events, ~is_change)
        started = time.perf_counter()
        due = self.held.due(batch.events.filter(~is_change))
        if is_change.any() or due is not None:
            self._complete(batch, is_change, due)
        self.held.took(time.perf_counter() - started)
        self._on_their_way[batch.id] = batch.events
        return batch

    def _complete(self, batch: EventBatch, is_change: pl.Series, due: pl.DataFrame | None) -> None:
        changes = batch.events.filter(is_change)
        if due is not None:
            # Not twice the one that came again, after dedup had forgotten it.
            changes = pl.concat([due.join(changes, on=SAME, how="anti"), changes], how="diagonal_relaxed")
        creates = batch.events.filter(~is_change).join(changes, on="event_key", how="semi")
        bases = self._bases(changes, creates)
        batch.before = bases.select(BEFORE)
        creates_out = batch.events.filter(~is_change).drop(HELPERS, strict=False)
        if AGAIN in changes.columns:
            changes, firsts = self._resolve(batch, changes, bases)
            bases = pl.concat([bases, firsts], how="diagonal_relaxed")
            creates_out = pl.concat([creates_out, firsts.select(creates_out.columns)])
        lost = changes.join(bases, on="event_key", how="anti")
        if self._dropped is not None:
            bases = pl.concat([bases, self._first_rows(lost)], how="diagonal_relaxed")
        state = merge(bases, changes)
        based = changes.join(state, on="event_key", how="semi")
        if due is not None:
            based = self._leave_landed(batch, based, state)
        whole, nothing_new, deleted = apply(based, state)
        _count(batch, DUPLICATE, nothing_new)
        _count(batch, DELETED, deleted)
        self._wait(batch, lost.join(state, on="event_key", how="anti"), due)
        creates_out = bury(creates_out, state.filter(pl.col("is_deleted") == 1))
        batch.events = pl.concat([creates_out, self._raised(whole.select(creates_out.columns))])
        if self._dropped is not None:
            batch.events = _mark_landed(batch.events, bases)

    def _resolve(self, batch: EventBatch, changes: pl.DataFrame, bases: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        resolved = resolve(changes, bases)
        _count(batch, DUPLICATE, resolved.redelivered)
        batch.notes.update({SECOND: resolved.second, MOVED: resolved.moved})
        return resolved.changes, resolved.firsts

    def _bases(self, changes: pl.DataFrame, creates: pl.DataFrame) -> pl.DataFrame:
        # The batches on their way first: one that lands meanwhile is in the database by the time of the look-up.
        flying = [frame.join(changes, on="event_key", how="semi") for frame in list(self._on_their_way.values())]
        # Those of batches before may have landed, or have been dropped: whatever else there is of the event is newer.
        before = [] if self.held.creates is None else [self.held.creates.join(changes, on="event_key", how="semi")]
        # A change that still waits may have carried another created_at than its event: it is searched by its key alone.
        undated = changes.with_columns(created_at=pl.when(pl.col("row").is_null()).then(None).otherwise("created_at"))
        if self._dropped is not None:
            there = minute_of_dropped(self._dropped, undated.get_column("event_key"))
            undated = undated.with_columns(pl.col("created_at").fill_null(there))
        here = pl.concat([frame.select("event_key", "created_at") for frame in (*before, *flying, creates)])
        keys = pl.concat(
            [here.with_columns(pl.lit(False).alias(THERE)), undated.select("event_key", "created_at", self._there(undated))]
        )
        keys = keys.group_by("event_key").agg(pl.col("created_at").max(), pl.col(THERE).any())
        keys = keys.with_columns(pl.col(THERE) & ~pl.col("event_key").is_in(here.get_column("event_key").implode()))
        stored = self._stored.newest(keys)
        stored = stored.with_columns(pl.Series(_STORED, [True], pl.Boolean).new_from_index(0, stored.height))
        return pl.concat([*before, stored, *flying, creates], how="diagonal_relaxed")

    def _there(self, changes: pl.DataFrame) -> pl.Series:
        """Column THERE: second creates, but those of events that relevance dropped."""
        if AGAIN not in changes.columns:
            return pl.Series(THERE, [False]).new_from_index(0, changes.height)
        return (changes.get_column(AGAIN).fill_null(False) & ~self._was_dropped(changes)).alias(THERE)

    def _first_rows(self, lost: pl.DataFrame) -> pl.DataFrame:
        """Rows in place of creates that were dropped: the fixed part of a change that mentions a brand and has all fields that
        a create must have."""
        complete = pl.col("kind").is_not_null() & pl.col("created_at").is_not_null() & (pl.col("operation") == "update")
        first = lost.filter(self._was_dropped(lost)).filter(~mentions_none() & complete)
        first = first.sort("occurred_at", maintain_order=True).unique("event_key", keep="first", maintain_order=True)
        return first.select(
            "event_key",
            *FIXED,
            *(NEVER.alias(column) for column in GROUP_TIMES),
            version=pl.lit(0, pl.UInt64),
            is_deleted=pl.lit(0, pl.UInt8),
        )

    def _was_dropped(self, changes: pl.DataFrame) -> pl.Series:
        keys = changes.get_column("event_key").to_numpy()
        known = [False] * len(keys) if self._dropped is None else self._dropped.contains(keys)
        return pl.Series(known, dtype=pl.Boolean)

    def _leave_landed(self, batch: EventBatch, based: pl.DataFrame, state: pl.DataFrame) -> pl.DataFrame:
        """The changes without those that landed before a worker was killed, and that the table does not mark as done. They go
        to `batch.replayed`: their signal is published with the batch, maybe a second time."""
        waited = based.filter(pl.col("row").is_null() & pl.col("batch").is_null()).select(*SAME, "occurred_at")
        if not waited.height:
            return based
        dated = waited.join(state.select("event_key", "created_at"), on="event_key")
        there = waited.join(self._stored.landed(dated), on=SAME, how="semi")
        if there.height:
            again = there.select(*SAME, said_at="occurred_at", created_at=pl.lit(None, TIME), kafka_ms=pl.lit(None, pl.Int64))
            before = [] if batch.replayed is None else [batch.replayed]
            batch.replayed = pl.concat([*before, again], how="diagonal_relaxed")
        return based.join(there, on=SAME, how="anti")

    def _wait(self, batch: EventBatch, lost: pl.DataFrame, due: pl.DataFrame | None) -> None:
        """Takes out the changes that need not wait any more, and keeps those whose event is not known yet."""
        irrelevant = self._was_dropped(lost)
        none = lost.select(mentions_none()).to_series()
        _count(batch, IRRELEVANT, int((irrelevant & none).sum()))
        _count(batch, EVENT_IRRELEVANT, int((irrelevant & ~none).sum()))
        lost = lost.filter(~irrelevant)
        if due is not None:
            old = lost.join(due, on=SAME, how="semi").filter(self.held.too_old())
            _count(batch, NO_BASE, old.height)
            lost = lost.join(old, on=SAME, how="anti")
            settled = due.join(lost, on=SAME, how="anti")
            if settled.height:
                batch.settled_changes = settled
                self.held.finish(settled, batch.id)
            lost = lost.join(due, on=SAME, how="anti")
        if lost.height:
            batch.waiting = self.held.add(lost.drop(FILLED), batch.id)

    def landed(self, batch: EventBatch, refused: Keys) -> None:
        self._on_their_way.pop(batch.id, None)
        self.held.landed(batch.id, refused)

    def given_up(self, batch: EventBatch) -> None:
        self._on_their_way.pop(batch.id, None)
        self.held.given_up(batch.id)

    def left(self, partitions: set[Partition] | None) -> None:
        """The waiting changes of these partitions are dropped from memory; a new assignment loads them again."""
        if partitions is None:
            self._on_their_way.clear()
        self.held.left(partitions)


def _count(batch: EventBatch, reason: str, count: int) -> None:
    if count:
        batch.dropped[reason] += count


def _mark_landed(rows: pl.DataFrame, bases: pl.DataFrame) -> pl.DataFrame:
    """Adds LANDED_BEFORE: the event has a row, or one on its way that mentions a brand."""
    landed = bases.filter(pl.col(_STORED) | ~mentions_none()).get_column("event_key").unique()
    before = pl.col("event_key").is_in(landed.implode()) & (pl.col("operation") != "create")
    return rows.with_columns(before.alias(LANDED_BEFORE))
