"""Completion: updates and deletes become whole rows.

A change finds its event in the batches on their way, else in the stored row (one look-up a batch), else it waits in
`pending_changes` until the event comes (processors/waiting.py). What can change comes in three groups
(`schemas.events.GROUPS`), each with its own time (text_at, metrics_at, author_at): a change replaces the groups it carries
where it is as new as the stored ones or newer, so any order of arrival of a create and its changes ends in the same row. A
delete is final and leaves a tombstone: event_key, created_at, version and brands stay, every other column of the event is
blank. A change that changes nothing is a duplicate.

A change of an event that was dropped as irrelevant does not wait: it is dropped as well, for a stated reason, unless it
mentions a brand and says all that a create must say. Then it lands as its event's first row.

Creates are not looked up: their version is below that of any change, so ReplacingMergeTree puts them where they belong. Cost:
one look-up a batch that holds changes, and what is said in processors/waiting.py. A change that says no created_at and has no
event on its way is searched for, where there is none in the whole table: about a second for each 100 million rows, for all of a
batch together. Once when it comes, for a stored event is to be found at once; then while it waits, in a twentieth of the time.
"""

from __future__ import annotations

import time
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from pipeline.processors.dedup import DUPLICATE
from pipeline.processors.keys import Keys, KeySet
from pipeline.processors.relevance import EVENT_IRRELEVANT, IRRELEVANT, LANDED_BEFORE, mentions_none, minute_of_dropped
from pipeline.processors.waiting import IN_MEMORY, SAME, Pending, Waiting
from schemas import events
from schemas.labels import COLUMNS as SENTIMENT
from schemas.times import TIME

NO_BASE = "no base row"
GROUP_TIMES = tuple(f"{group}_at" for group in events.GROUPS)
_NEVER = pl.lit(0).cast(TIME)
_FIXED = [f.column for f in events.FIELDS if f.group == "fixed" and f.column not in ("operation", "occurred_at")]
_GROUPS = events.GROUPS | {"text": (*events.GROUPS["text"], *SENTIMENT)}
"""A label is no field of a record, but it changes with the text."""
_STATE = [*_FIXED, *(column for group in _GROUPS.values() for column in group), *GROUP_TIMES, "is_deleted"]
_KEPT_BY_TOMBSTONE = {"created_at", "brands", "is_deleted"}
_STORED = "stored"


class Stored(Protocol):
    """What the step asks of the database."""

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each event that is stored, tombstones too.

        `keys`: event_key (UInt64) and created_at (null when not known). Returns event_key, version and the columns of an event
        and of its label.
        """
        ...

    def landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Which of the changes (event_key, revision, created_at of its event) have a row: event_key and revision."""
        ...


class Completion:
    """The step. It keeps the batches on their way, and in `held` the changes that wait.

    `pending` is the table in which those wait that are not among the newest `in_memory`; without it all of them wait in memory.
    `dropped` are the events whose create was dropped as irrelevant. Restart: nothing is on its way, nothing waits;
    `held.load` brings back what waits when partitions are assigned.
    """

    name = "completion"

    def __init__(
        self,
        stored: Stored,
        waiting_s: float,
        clock: Clock = wall,
        pending: Pending | None = None,
        in_memory: int = IN_MEMORY,
        dropped: KeySet | None = None,
    ) -> None:
        self._stored = stored
        self.held = Waiting(waiting_s, in_memory, pending, clock)
        self._dropped = dropped
        self._on_their_way: dict[int, pl.DataFrame] = {}

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return len(self.held)

    def process(self, batch: EventBatch) -> EventBatch:
        batch.events = prepare(batch.events)
        is_change = batch.events.get_column("operation") != "create"
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
        lost = changes.join(bases, on="event_key", how="anti")
        if self._dropped is not None:
            bases = pl.concat([bases, self._first_rows(lost)], how="diagonal_relaxed")
        state = merge(bases, changes)
        found = changes.join(state, on="event_key", how="semi")
        if due is not None:
            found = self._leave_landed(batch, found, state)
        whole, nothing_new = apply(found, state)
        _count(batch, DUPLICATE, nothing_new)
        self._wait(batch, lost.join(state, on="event_key", how="anti"), due)
        deleted = state.filter(pl.col("is_deleted") == 1)
        creates_out = bury(batch.events.filter(~is_change), deleted)
        batch.events = pl.concat([creates_out, whole.select(creates_out.columns)])
        if self._dropped is not None:
            batch.events = _mark_landed(batch.events, bases)

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
        keys = pl.concat([frame.select("event_key", "created_at") for frame in (*before, *flying, creates, undated)])
        keys = keys.group_by("event_key").agg(pl.col("created_at").max())
        stored = self._stored.newest(keys)
        stored = stored.with_columns(pl.Series(_STORED, [True], pl.Boolean).new_from_index(0, stored.height))
        return pl.concat([*before, stored, *flying, creates], how="diagonal_relaxed")

    def _first_rows(self, lost: pl.DataFrame) -> pl.DataFrame:
        """What stands for the create of an event that was dropped: the fixed part of a change that mentions a brand and says
        all that a create must say."""
        says_all = pl.col("kind").is_not_null() & pl.col("created_at").is_not_null() & (pl.col("operation") == "update")
        first = lost.filter(self._was_dropped(lost)).filter(~mentions_none() & says_all)
        first = first.sort("occurred_at", maintain_order=True).unique("event_key", keep="first", maintain_order=True)
        return first.select(
            "event_key",
            *_FIXED,
            *(_NEVER.alias(column) for column in GROUP_TIMES),
            version=pl.lit(0, pl.UInt64),
            is_deleted=pl.lit(0, pl.UInt8),
        )

    def _was_dropped(self, changes: pl.DataFrame) -> pl.Series:
        keys = changes.get_column("event_key").to_numpy()
        known = [False] * len(keys) if self._dropped is None else self._dropped.contains(keys)
        return pl.Series(known, dtype=pl.Boolean)

    def _leave_landed(self, batch: EventBatch, found: pl.DataFrame, state: pl.DataFrame) -> pl.DataFrame:
        """The changes without those of the table that have landed, though a worker was killed before it said so: they are told
        with the batch, maybe again."""
        waited = found.filter(pl.col("row").is_null() & pl.col("batch").is_null()).select(*SAME, "occurred_at")
        if not waited.height:
            return found
        dated = waited.join(state.select("event_key", "created_at"), on="event_key")
        there = waited.join(self._stored.landed(dated), on=SAME, how="semi")
        if there.height:
            told = there.select(*SAME, said_at="occurred_at", created_at=pl.lit(None, TIME), kafka_ms=pl.lit(None, pl.Int64))
            batch.replayed = told if batch.replayed is None else pl.concat([batch.replayed, told], how="diagonal_relaxed")
        return found.join(there, on=SAME, how="anti")

    def _wait(self, batch: EventBatch, lost: pl.DataFrame, due: pl.DataFrame | None) -> None:
        """Ends what need not wait any more, and lets wait what has no event yet."""
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
                batch.settled = settled
                self.held.settle(settled, batch.id)
            lost = lost.join(due, on=SAME, how="anti")
        if lost.height:
            batch.waiting = self.held.add(lost.drop(SENTIMENT), batch.id)

    def finish(self, batch_id: int, refused: Keys) -> None:
        """The batch's rows are in ClickHouse, but for the revisions that ClickHouse refused."""
        self._on_their_way.pop(batch_id, None)
        self.held.finish(batch_id, refused)

    def forget(self, batch_id: int) -> None:
        """The batch was given up: what it held may be read again."""
        self._on_their_way.pop(batch_id, None)
        self.held.give_up(batch_id)

    def give_up_all(self) -> None:
        """No batch is on its way any more; the waiting changes are loaded again with the partitions. From any thread."""
        self._on_their_way.clear()
        self.held.give_up_all()


def _count(batch: EventBatch, reason: str, count: int) -> None:
    if count:
        batch.dropped[reason] += count


def _mark_landed(rows: pl.DataFrame, bases: pl.DataFrame) -> pl.DataFrame:
    """Adds LANDED_BEFORE: the event has a row, or one on its way that mentions a brand."""
    landed = bases.filter(pl.col(_STORED) | ~mentions_none()).get_column("event_key").unique()
    before = pl.col("event_key").is_in(landed.implode()) & (pl.col("operation") != "create")
    return rows.with_columns(before.alias(LANDED_BEFORE))


def prepare(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds what each row says by itself: the times of the groups it carries (1970: not carried), is_deleted, version.

    The columns of its label are blank: the next step fills them.
    """
    create = pl.col("operation") == "create"
    frame = frame.with_columns(occurred_at=pl.when(create).then("created_at").otherwise("occurred_at"))
    return frame.with_columns(
        *(
            pl.when(_carries(columns, frame)).then("occurred_at").otherwise(_NEVER).alias(f"{group}_at")
            for group, columns in events.GROUPS.items()
        ),
        is_deleted=(pl.col("operation") == "delete").cast(pl.UInt8),
        version=version(),
        **{column: pl.lit(None, type_) for column, type_ in SENTIMENT.items()},
    )


def version() -> pl.Expr:
    """The version of a record by itself (schemas/events.py says which bits mean what)."""
    rank = pl.col("operation").replace_strict(events.RANKS, return_dtype=pl.UInt64)
    return (
        (pl.col("occurred_at").dt.epoch("ms").cast(pl.UInt64) * (1 << events.TIME_SHIFT))
        + rank * (1 << events.RANK_SHIFT)
        + (pl.col("offset").cast(pl.UInt64) & events.OFFSET_MASK) * (1 << events.OFFSET_SHIFT)
    )


def _carries(columns: tuple[str, ...], frame: pl.DataFrame) -> pl.Expr:
    present = [column for column in columns if frame.get_column(column).null_count() < frame.height]
    if not present:
        return pl.lit(False)
    return pl.any_horizontal(
        pl.col(column).list.len().fill_null(0) > 0
        if events.BY_COLUMN[column].kind == "strings"
        else pl.col(column).is_not_null()
        for column in present
    )


def merge(bases: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """One row an event that has a base: its state after all changes, and what it was before: `base_version`, `base_<group>_at`,
    `base_is_deleted`. Rows that come later in the frames win ties of time."""
    known = bases.select("event_key").unique()
    rows = pl.concat([bases, changes.join(known, on="event_key", how="semi")], how="diagonal_relaxed").with_row_index("seq")
    fixed = bases.sort("version", maintain_order=True).group_by("event_key", maintain_order=True)
    state = fixed.agg(
        *(pl.col(column).last() for column in _FIXED),
        pl.col("version").max().alias("base_version"),
        *(pl.col(time).max().alias(f"base_{time}") for time in GROUP_TIMES),
        pl.col("is_deleted").max().alias("base_is_deleted"),
    )
    for group, columns in _GROUPS.items():
        newest = rows.sort(f"{group}_at", "seq").group_by("event_key")
        state = state.join(newest.agg(pl.col(*columns, f"{group}_at").last()), on="event_key", how="left")
    return state.join(rows.group_by("event_key").agg(pl.col("is_deleted").max()), on="event_key", how="left")


def apply(changes: pl.DataFrame, state: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The changes as whole rows in their event's state, and how many were left out because they changed nothing."""
    joined = changes.drop(c for c in _STATE if c != "is_deleted").join(
        state.rename({"is_deleted": "state_is_deleted"}), on="event_key", how="inner", maintain_order="left"
    )
    carried = changes.select(pl.col(*GROUP_TIMES).name.suffix("_own"))
    joined = pl.concat([joined, carried], how="horizontal")
    newer = [(pl.col(f"{time}_own") > _NEVER) & (pl.col(f"{time}_own") >= pl.col(f"base_{time}")) for time in GROUP_TIMES]
    effective = (pl.col("base_is_deleted") == 0) & pl.any_horizontal(pl.col("is_deleted") == 1, *newer)
    whole = joined.filter(effective).with_columns(
        version=pl.max_horizontal("version", (pl.col("base_version") // events.CHANGE_STEP + 1) * events.CHANGE_STEP),
        is_deleted=pl.col("state_is_deleted"),
    )
    whole = whole.select(changes.columns)
    return bury(whole, state.filter(pl.col("is_deleted") == 1)), joined.height - whole.height


def bury(rows: pl.DataFrame, deleted: pl.DataFrame) -> pl.DataFrame:
    """The rows, those of deleted events as tombstones."""
    if not deleted.height:
        return rows
    gone = pl.col("event_key").is_in(deleted.get_column("event_key").implode())
    columns = [column for column in (*events.BY_COLUMN, *SENTIMENT) if column not in _KEPT_BY_TOMBSTONE]
    return rows.with_columns(
        pl.when(gone).then(None).otherwise(pl.col(column)).alias(column) for column in (*columns, *GROUP_TIMES)
    ).with_columns(
        pl.col("operation").fill_null("delete"),
        pl.when(gone).then(pl.lit(1, pl.UInt8)).otherwise("is_deleted").alias("is_deleted"),
    )
