"""Relevance: drops events that mention no tracked brand, where the settings ask for it (worker.keep_irrelevant = false).

The step drops an event until a record of it mentions a brand; it keeps an event that has landed up to date, whatever its
changes mention. It remembers the events of dropped creates as dedup remembers revisions (19 bytes each, the same window), so
that their changes do not wait in completion. After a restart, or on another worker, these events are unknown, and their changes
wait like those of an event that is still to come.

A dropped event may have a row all the same: a record of it landed before, or an edit or second create after. So its key has the
minute of its created_at, where completion looks for that row: a change of a dropped event seldom carries created_at itself, and
completion would search the whole table for it.
"""

from __future__ import annotations

import polars as pl

from pipeline.batch import EventBatch, Partition
from pipeline.processors.keys import Dates, Keys, KeySet
from schemas.times import TIME

IRRELEVANT = "irrelevant"
EVENT_IRRELEVANT = "its event was dropped as irrelevant"
"""A change that mentions a brand, and lacks fields that the first row of its event needs."""
LANDED_BEFORE = "landed_before"
"""Column (Boolean) that completion adds to batches with changes: the event has a row, or is on its way to one."""

_KEY = ("event_key", (pl.col("created_at").dt.epoch("s") // 60).cast(pl.UInt32).alias("minute"))


class Relevance:
    """The step, and a BatchMemory. Runs after completion, so that it judges a change with its event; tombstones stay.

    `dropped` (its dates are minutes since 1970) gets the keys of dropped creates when their batch has landed: until then
    completion sees them on their way. So `landed` comes before that of completion.
    """

    name = "relevance"

    def __init__(self, dropped: KeySet) -> None:
        self._dropped = dropped
        self._pending: dict[int, tuple[pl.DataFrame, pl.DataFrame]] = {}

    def process(self, batch: EventBatch) -> EventBatch:
        irrelevant = mentions_none() & (pl.col("is_deleted") == 0)
        if LANDED_BEFORE in batch.events.columns:
            irrelevant &= ~pl.col(LANDED_BEFORE)
        mask = batch.events.select(irrelevant).to_series()
        creates = batch.events.filter(mask & (batch.events.get_column("operation") == "create"))
        batch.drop(mask, IRRELEVANT)
        self._pending[batch.id] = creates.select(_KEY), batch.events.select(_KEY)
        batch.events = batch.events.drop(LANDED_BEFORE, strict=False)
        return batch

    def landed(self, batch: EventBatch, refused: Keys) -> None:
        """Remembers its dropped creates."""
        if frames := self._pending.pop(batch.id, None):
            dropped, landed = frames
            self._dropped.add(*_keys_and_minutes(dropped))
            # A row that lands after all may have another created_at than the create that was dropped.
            self._dropped.set_dates(*_keys_and_minutes(landed))

    def given_up(self, batch: EventBatch) -> None:
        """Its creates are read again, maybe by another worker, maybe with other brands."""
        self._pending.pop(batch.id, None)

    def left(self, partitions: set[Partition] | None) -> None:
        """Dropped events of partitions that left stay known, which does no harm.

        Batches in flight stay, too: one that is landing at this moment is still reported as landed, from another thread.
        """


def _keys_and_minutes(rows: pl.DataFrame) -> tuple[Keys, Dates]:
    return rows.get_column("event_key").to_numpy(), rows.get_column("minute").to_numpy()


def minute_of_dropped(dropped: KeySet, keys: pl.Series) -> pl.Series:
    """When these events were created, to the minute; null for those that are not known as dropped."""
    minutes = pl.Series(dropped.dates(keys.to_numpy())).cast(pl.Int64)
    known = pl.when(minutes > 0).then(minutes * 60_000).cast(TIME)
    return pl.select(known).to_series()


def mentions_none() -> pl.Expr:
    return pl.col("brands").list.len().fill_null(0) == 0
