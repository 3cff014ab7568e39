"""Relevance: drops events that mention no tracked brand, where the settings ask for it (worker.keep_irrelevant = false).

An event is dropped until a record of it mentions a brand; one that has landed is kept up to date, whatever its changes mention.
The events of dropped creates are remembered as dedup remembers revisions (19 bytes each, the same window), so that completion
does not let their changes wait for them. Restart, or another worker gets the partition: they are unknown there, and a change of
theirs waits as one whose event is still to come.

A dropped event may have a row all the same: a record of it landed before, or an edit or second create after. So its key has the
minute of its created_at, where completion looks for that row: without it each change of a dropped event, which seldom says
created_at itself, would be searched for in the whole table.
"""

from __future__ import annotations

import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.keys import Dates, Keys, KeySet
from schemas.times import TIME

IRRELEVANT = "irrelevant"
EVENT_IRRELEVANT = "its event was dropped as irrelevant"
"""Of a change that mentions a brand, and does not say enough to be its event's first row."""
LANDED_BEFORE = "landed_before"
"""Column (Boolean) that completion adds to batches with changes: the event has a row, or is on its way to one."""

_PLACE = ("event_key", (pl.col("created_at").dt.epoch("s") // 60).cast(pl.UInt32).alias("minute"))


class Relevance:
    """The step. Runs after completion, so that a change is judged with its event; tombstones stay.

    `dropped` (its dates are minutes since 1970) gets the keys of dropped creates when their batch has landed: until then
    completion sees them on their way.
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
        self._pending[batch.id] = creates.select(_PLACE), batch.events.select(_PLACE)
        batch.events = batch.events.drop(LANDED_BEFORE, strict=False)
        return batch

    def finish(self, batch_id: int) -> None:
        """The batch has landed. To be called before completion is told. From any thread."""
        if frames := self._pending.pop(batch_id, None):
            dropped, landed = frames
            self._dropped.add(*_places(dropped))
            # What lands after all may say another created_at than the create that was dropped.
            self._dropped.set_dates(*_places(landed))

    def forget(self, batch_id: int) -> None:
        """The batch was given up: its creates are read again, maybe by another worker, maybe with other brands."""
        self._pending.pop(batch_id, None)


def _places(rows: pl.DataFrame) -> tuple[Keys, Dates]:
    return rows.get_column("event_key").to_numpy(), rows.get_column("minute").to_numpy()


def minute_of_dropped(dropped: KeySet, keys: pl.Series) -> pl.Series:
    """When these events were created, to the minute, as far as they are known as dropped; else null."""
    minutes = pl.Series(dropped.dates(keys.to_numpy())).cast(pl.Int64)
    known = pl.when(minutes > 0).then(minutes * 60_000).cast(TIME)
    return pl.select(known).to_series()


def mentions_none() -> pl.Expr:
    return pl.col("brands").list.len().fill_null(0) == 0
