"""Landing: writes a batch to its tables, in the order that makes a replay harmless.

Suppressed events and dead letters first, waiting changes next, `interactions` last: only that makes a revision landed. Then
signals and evidence are sent, and changes that need not wait any more are marked as done. After a kill anywhere in between, the
records are read again, and each write is idempotent: suppressions, dead letters and pending changes by their keys, interactions
because their revisions are known; signals and evidence that may not have been sent are sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch, Rejected
from pipeline.clickhouse.inserter import MONTHS_AN_INSERT, Inserter
from pipeline.clock import Clock, wall
from pipeline.kafka.event_producer import record_of
from pipeline.processors.merge import FILLED, GROUP_TIMES
from pipeline.sinks.erasures import suppress, suppression_rows
from pipeline.sinks.pending import done_rows, waiting_rows
from pipeline.sinks.record import event_of
from schemas import events
from schemas.erasures import Keys
from schemas.times import TIME

_LISTS = [column for column, f in events.BY_COLUMN.items() if f.kind == "strings"] + ["create_revisions"]
_ORIGIN = ["topic", "partition", "offset"]
COLUMNS = [*events.BY_COLUMN, *FILLED, "event_key", "revision", "version", "is_deleted", *GROUP_TIMES]
"""The columns of an event in table interactions, and those that steps fill."""
TOGETHER_BYTES = 64 << 20
"""Of batches that land in one insert."""
_BATCHES = 100
"""More than are ever on their way at once."""


class Letters(Protocol):
    """Where dead letters go."""

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        """On return all of them are stored."""
        ...


class Landing:
    """Writes batches. Blocks while the database or the broker is down; raises GivenUp when the batch was given up.

    Each of `publish` is called, in this order, when their rows are in ClickHouse, and before changes that waited are marked as
    done. `seal` is step privacy's: a change that waited and is refused becomes a record once more. Batches land together up to
    `together_bytes`.
    """

    def __init__(
        self,
        inserter: Inserter,
        dead_letters: Letters,
        seal: Callable[[str], str],
        *publish: Callable[[Sequence[EventBatch]], None],
        together_bytes: int = TOGETHER_BYTES,
        clock: Clock = wall,
    ) -> None:
        self._inserter = inserter
        self._dead_letters = dead_letters
        self._seal, self._publish, self._together_bytes, self._clock = seal, publish, together_bytes, clock
        self._not_waiting: dict[int, set[int]] = {}

    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        """On return every row is in ClickHouse, or acknowledged as a dead letter; returns the revisions of the dead letters.

        `batches` are of one generation. Their rows go in one insert, unless they are large: ClickHouse's work for a part hardly
        depends on its size, but an insert has a time limit.
        """
        generation = batches[0].generation
        refused = []
        self._suppress(batches, generation)
        known = [len(batch.rejected) for batch in batches]
        for batch in batches:
            self._dead_letters.write(batch.rejected, generation)
            self._leave_dead_letters(batch)
            refused += self._wait(batch)
        for group in _together(batches, self._together_bytes):
            refused += self._insert(group, generation)
        for publish in self._publish:
            publish(batches)
        for batch, before in zip(batches, known, strict=True):
            self._dead_letters.write(batch.rejected[before:], generation)
            if batch.settled_changes is not None:
                self._inserter.insert_all("pending_changes", done_rows(batch.settled_changes), generation)
        return refused

    def _suppress(self, batches: Sequence[EventBatch], generation: int) -> None:
        """Events that were dropped for their author are suppressed for every worker: an update that comes later names none."""
        dropped = [key for batch in batches if batch.erased is not None for key in batch.erased.tolist()]
        if dropped:
            suppress(
                self._inserter,
                suppression_rows(Keys(events=dropped), 0, datetime.fromtimestamp(self._clock(), UTC)),
                generation,
            )

    def _insert(self, batches: Sequence[EventBatch], generation: int) -> list[int]:
        refused = []
        now = datetime.fromtimestamp(self._clock(), UTC)
        for part in by_months(pl.concat([_interactions(batch.events, now) for batch in batches])):
            for row, reason in self._inserter.insert("interactions", part, generation):
                revision = row.get_column("revision")[0]
                for batch in batches:
                    _refuse(batch, revision, reason, self._seal)
                refused.append(revision)
        return refused

    def _wait(self, batch: EventBatch) -> list[int]:
        """Writes the waiting changes; those that ClickHouse refuses become dead letters. Returns their revisions."""
        refused = []
        if batch.waiting is not None:
            for row, reason in self._inserter.insert("pending_changes", waiting_rows(batch.waiting), batch.generation):
                change = row.row(0, named=True)
                mine = batch.waiting.filter(pl.col("revision") == change["revision"])
                batch.reject_record(mine.get_column("row")[0], reason, "clickhouse", *(change[column] for column in _ORIGIN))
                batch.waiting = batch.waiting.filter(pl.col("revision") != change["revision"])
                refused.append(change["revision"])
        if refused:
            self._not_waiting[batch.id] = set(refused)
        return refused

    def _leave_dead_letters(self, batch: EventBatch) -> None:
        """Takes out changes of earlier batches that ClickHouse refused as waiting changes: their event came before the
        refusal."""
        for old in [id for id in self._not_waiting if id < batch.id - _BATCHES]:
            del self._not_waiting[old]
        if batch.settled_changes is None or not self._not_waiting:
            return
        keys = batch.settled_changes.select("batch", "revision").iter_rows()
        dead = pl.Series([revision in self._not_waiting.get(came, ()) for came, revision in keys], dtype=pl.Boolean)
        revisions = batch.settled_changes.filter(dead).get_column("revision").implode()
        batch.settled_changes = batch.settled_changes.filter(~dead)
        leaves = pl.col("row").is_null() & pl.col("revision").is_in(revisions)
        gone = set(batch.events.filter(leaves).select("event_key", "occurred_at").iter_rows())
        batch.events = batch.events.remove(leaves)
        batch.candidates = [each for each in batch.candidates if (each.event_key, each.occurred_at) not in gone]


def _refuse(batch: EventBatch, revision: int, reason: str, seal: Callable[[str], str]) -> None:
    """Makes the row a dead letter; the batch has no bytes of a change that waited, so it becomes a record once more."""
    refused = batch.events.get_column("revision") == revision
    waited = batch.events.filter(refused & pl.col("row").is_null())
    if waited.height and batch.settled_changes is not None:
        change = batch.settled_changes.filter(pl.col("revision") == revision).row(0, named=True)
        topic, partition, offset = (change[column] for column in _ORIGIN)
        key, raw = record_of(event_of(change, seal))
        batch.rejected.append(Rejected("clickhouse", reason, topic, partition, offset, key, raw))
        batch.events = batch.events.filter(~refused)
    else:
        batch.reject(refused, reason, "clickhouse")


def _interactions(frame: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The batch's rows as the table has them; a null is the column's default."""
    lists = [column for column in _LISTS if 0 < frame.get_column(column).null_count() < frame.height]
    return frame.select(*COLUMNS, *_ORIGIN).with_columns(
        *(pl.col(column).fill_null([]) for column in lists),
        landed_at=pl.col("landed_at").fill_null(pl.lit(now).cast(TIME)),
        ingested_at=pl.lit(now),
    )


def _together(batches: Sequence[EventBatch], most_bytes: int) -> list[list[EventBatch]]:
    """The batches in groups of `most_bytes` at most, or one batch."""
    groups: list[list[EventBatch]] = []
    size = 0
    for batch in batches:
        bytes_ = frame_bytes(batch)
        if not groups or size + bytes_ > most_bytes:
            groups.append([])
            size = 0
        groups[-1].append(batch)
        size += bytes_
    return groups


def frame_bytes(batch: EventBatch) -> int:
    """Bytes of its rows, about: what `together_bytes` counts."""
    return int(batch.events.estimated_size())


def by_months(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows in parts, each of months that one insert may touch."""
    created = rows.get_column("created_at")
    first, last = created.min(), created.max()
    if not (isinstance(first, datetime) and isinstance(last, datetime)) or _month(last) - _month(first) < MONTHS_AN_INSERT:
        return [rows]
    month = created.dt.strftime("%Y%m")
    months = month.unique().sort()
    if len(months) <= MONTHS_AN_INSERT:
        return [rows]
    slices = [months[start : start + MONTHS_AN_INSERT] for start in range(0, len(months), MONTHS_AN_INSERT)]
    return [rows.filter(month.is_in(part.implode())) for part in slices]


def _month(time: datetime) -> int:
    return 12 * time.year + time.month
