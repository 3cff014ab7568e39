"""Completion: updates and deletes become whole rows.

A change finds its event in the batches on their way, else in the stored row (one look-up a batch), else it waits in
`pending_changes` until the event comes. What can change comes in three groups (`schemas.events.GROUPS`), each with its own time
(text_at, metrics_at, author_at): a change replaces the groups it carries where it is as new as the stored ones or newer, so any
order of arrival of a create and its changes ends in the same row. A delete is final and leaves a tombstone: event_key,
created_at, version and brands stay, every other column of the event is blank. A change that changes nothing is a duplicate.

Creates are not looked up: their version is below that of any change, so ReplacingMergeTree puts them where they belong. Cost:
one look-up a batch that holds changes, and about 1 kB of memory a change that waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from pipeline.processors.dedup import DUPLICATE
from pipeline.processors.sentiment.labels import COLUMNS as SENTIMENT
from schemas import events

NO_BASE = "no base row"
TIME = pl.Datetime("ms", "UTC")
GROUP_TIMES = tuple(f"{group}_at" for group in events.GROUPS)
_NEVER = pl.lit(0).cast(TIME)
_FIXED = [f.column for f in events.FIELDS if f.group == "fixed" and f.column not in ("operation", "occurred_at")]
_GROUPS = events.GROUPS | {"text": (*events.GROUPS["text"], *SENTIMENT)}
"""A label is no field of a record, but it changes with the text."""
_STATE = [*_FIXED, *(column for group in _GROUPS.values() for column in group), *GROUP_TIMES, "is_deleted"]
_KEPT_BY_TOMBSTONE = {"created_at", "brands", "is_deleted"}
_FIRST_CHECK_S = 5.0


class Stored(Protocol):
    """What the step asks of the database."""

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each event that is stored, tombstones too.

        `keys`: event_key (UInt64) and created_at (null when not known). Returns event_key, version and the columns of an event
        and of its label.
        """
        ...


class Completion:
    """The step. It keeps the batches on their way and the waiting changes in memory.

    Restart: both are empty; `load` brings the waiting changes back from pending_changes when partitions are assigned.
    """

    name = "completion"

    def __init__(self, stored: Stored, waiting_s: float, clock: Clock = wall) -> None:
        self._stored = stored
        self._waiting_s = waiting_s
        self._clock = clock
        self._on_their_way: dict[int, pl.DataFrame] = {}
        self._waiting: pl.DataFrame | None = None
        self._found: pl.DataFrame | None = None
        # What other threads ask of the step is done between two batches, by the thread that runs it.
        self._inbox: deque[Callable[[], None]] = deque()

    def process(self, batch: EventBatch) -> EventBatch:
        while self._inbox:
            self._inbox.popleft()()
        batch.events = prepare(batch.events)
        self._tell_found(batch)
        self._give_up_old(batch)
        is_change = batch.events.get_column("operation") != "create"
        due = self._due(batch.events.filter(~is_change))
        if is_change.any() or due is not None:
            self._complete(batch, is_change, due)
        self._on_their_way[batch.id] = batch.events
        return batch

    def _complete(self, batch: EventBatch, is_change: pl.Series, due: pl.DataFrame | None) -> None:
        changes = batch.events.filter(is_change)
        if due is not None:
            changes = pl.concat([due, changes], how="diagonal_relaxed")
        creates = batch.events.filter(~is_change).join(changes, on="event_key", how="semi")
        state = merge(self._bases(changes, creates), changes)
        found = changes.join(state.select("event_key"), on="event_key", how="semi")
        whole, nothing_new = apply(found, state)
        self._settle(batch, due, found)
        self._wait(batch, changes, state, due)
        batch.dropped[DUPLICATE] += nothing_new
        deleted = state.filter(pl.col("is_deleted") == 1)
        creates_out = bury(batch.events.filter(~is_change), deleted)
        batch.events = pl.concat([creates_out, whole.select(creates_out.columns)])

    def _bases(self, changes: pl.DataFrame, creates: pl.DataFrame) -> pl.DataFrame:
        # The batches on their way first: one that lands meanwhile is in the database by the time of the look-up.
        flying = [frame.join(changes, on="event_key", how="semi") for frame in list(self._on_their_way.values())]
        # A change that still waits may have carried another created_at than its event: it is searched by its key alone.
        undated = changes.with_columns(created_at=pl.when(pl.col("row").is_null()).then(None).otherwise("created_at"))
        keys = pl.concat([frame.select("event_key", "created_at") for frame in (*flying, creates, undated)])
        keys = keys.group_by("event_key").agg(pl.col("created_at").max())
        stored = self._stored.newest(keys)
        return pl.concat([stored, *flying, creates], how="diagonal_relaxed")

    def _due(self, creates: pl.DataFrame) -> pl.DataFrame | None:
        """The waiting changes to look at now: those whose event is in this batch, and those not looked at for a while."""
        if self._waiting is None:
            return None
        now = self._clock()
        come = self._waiting.get_column("event_key").is_in(creates.get_column("event_key").implode())
        look = come | (self._waiting.get_column("check_at") <= now)
        if not look.any():
            return None
        # Each look doubles the time to the next: a change that waits for a week is looked up some 17 times.
        self._waiting = self._waiting.with_columns(
            check_at=pl.when(look).then(now + (now - pl.col("arrived_at")).clip(_FIRST_CHECK_S)).otherwise("check_at")
        )
        return self._waiting.filter(look)

    def _settle(self, batch: EventBatch, due: pl.DataFrame | None, found: pl.DataFrame) -> None:
        if due is None or self._waiting is None:
            return
        settled = due.join(found, on=["event_key", "revision"], how="semi")
        self._forget(settled)
        batch.settled = _append(batch.settled, settled)

    def _wait(self, batch: EventBatch, changes: pl.DataFrame, state: pl.DataFrame, due: pl.DataFrame | None) -> None:
        new = changes.drop(SENTIMENT).join(state, on="event_key", how="anti")
        if due is not None:
            new = new.join(due, on=["event_key", "revision"], how="anti")
        if not new.height:
            return
        now = self._clock()
        new = new.with_columns(arrived_at=pl.lit(now), check_at=pl.lit(now + _FIRST_CHECK_S))
        batch.waiting = new
        self._waiting = _append(self._waiting, new.with_columns(row=pl.lit(None, pl.UInt32)))

    def _tell_found(self, batch: EventBatch) -> None:
        if self._found is not None:
            batch.settled = self._found
            told = self._found.select("event_key", "revision", said_at="occurred_at")
            batch.replayed = _append(
                batch.replayed, told.with_columns(created_at=pl.lit(None, TIME), kafka_ms=pl.lit(None, pl.Int64))
            )
            self._found = None

    def _give_up_old(self, batch: EventBatch) -> None:
        if self._waiting is None:
            return
        old = self._waiting.filter(pl.col("arrived_at") < self._clock() - self._waiting_s)
        if old.height:
            batch.dropped[NO_BASE] += old.height
            batch.settled = _append(batch.settled, old)
            self._forget(old)

    def _forget(self, rows: pl.DataFrame) -> None:
        assert self._waiting is not None
        rest = self._waiting.join(rows, on=["event_key", "revision"], how="anti")
        self._waiting = rest if rest.height else None

    @property
    def waiting(self) -> int:
        """How many changes wait, those still to be taken over not counted."""
        return (0 if self._waiting is None else self._waiting.height) + len(self._inbox)

    def settle(self, found: pl.DataFrame) -> None:
        """These changes waited and have landed, but a worker was killed before it said so: they are told and marked done with
        the next batch. From any thread."""
        if found.height:
            self._inbox.append(lambda: self._remember(found))

    def load(self, waiting: pl.DataFrame) -> None:
        """Adds waiting changes as `pending_changes` has them; they are looked up with the next batch. From any thread."""
        if waiting.height:
            self._inbox.append(lambda: self._add(waiting))

    def forget(self, places: Container[tuple[str, int]]) -> None:
        """Drops the waiting changes of partitions that went to another worker. From any thread."""
        self._inbox.append(lambda: self._drop(places))

    def give_up_all(self) -> None:
        """No batch is on its way any more; the waiting changes are loaded again with the partitions. From any thread."""
        self._inbox.append(self._clear)

    def finish(self, batch_id: int) -> None:
        """The batch's rows are in ClickHouse, or it was given up."""
        self._on_their_way.pop(batch_id, None)

    def _add(self, waiting: pl.DataFrame) -> None:
        self._waiting = _append(self._waiting, waiting).unique(["event_key", "revision"], maintain_order=True)

    def _remember(self, found: pl.DataFrame) -> None:
        self._found = _append(self._found, found)

    def _drop(self, places: Container[tuple[str, int]]) -> None:
        self._waiting, self._found = (_without(frame, places) for frame in (self._waiting, self._found))

    def _clear(self) -> None:
        self._on_their_way.clear()
        self._waiting = self._found = None


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


def _without(frame: pl.DataFrame | None, places: Container[tuple[str, int]]) -> pl.DataFrame | None:
    if frame is None:
        return None
    stays = [place not in places for place in frame.select("topic", "partition").iter_rows()]
    return frame.filter(pl.Series(stays, dtype=pl.Boolean))


def _append(frame: pl.DataFrame | None, rows: pl.DataFrame) -> pl.DataFrame:
    return rows if frame is None else pl.concat([frame, rows], how="diagonal_relaxed")
