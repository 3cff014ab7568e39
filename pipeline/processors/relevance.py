"""Relevance: drops events that mention no tracked brand, where the settings ask for it (worker.keep_irrelevant = false).

An event is dropped until a record of it mentions a brand; one that has landed is kept up to date, whatever its changes mention.
The events of dropped creates are remembered as dedup remembers revisions (13 bytes each, the same window), so that completion
does not let their changes wait for them. Restart, or another worker gets the partition: they are unknown there, and a change of
theirs waits as one whose event is still to come.
"""

from __future__ import annotations

import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.keys import Keys, KeySet

IRRELEVANT = "irrelevant"
EVENT_IRRELEVANT = "its event was dropped as irrelevant"
"""Of a change that mentions a brand, and does not say enough to be its event's first row."""
LANDED_BEFORE = "landed_before"
"""Column (Boolean) that completion adds to batches with changes: the event has a row, or is on its way to one."""


class Relevance:
    """The step. Runs after completion, so that a change is judged with its event; tombstones stay.

    `dropped` gets the keys of dropped creates when their batch has landed: until then completion sees them on their way.
    """

    name = "relevance"

    def __init__(self, dropped: KeySet) -> None:
        self._dropped = dropped
        self._pending: dict[int, Keys] = {}

    def process(self, batch: EventBatch) -> EventBatch:
        irrelevant = mentions_none() & (pl.col("is_deleted") == 0)
        if LANDED_BEFORE in batch.events.columns:
            irrelevant &= ~pl.col(LANDED_BEFORE)
        mask = batch.events.select(irrelevant).to_series()
        creates = batch.events.filter(mask & (batch.events.get_column("operation") == "create"))
        self._pending[batch.id] = creates.get_column("event_key").to_numpy()
        batch.drop(mask, IRRELEVANT)
        batch.events = batch.events.drop(LANDED_BEFORE, strict=False)
        return batch

    def finish(self, batch_id: int) -> None:
        """The batch has landed. To be called before completion is told. From any thread."""
        if (keys := self._pending.pop(batch_id, None)) is not None:
            self._dropped.add(keys)

    def forget(self, batch_id: int) -> None:
        """The batch was given up: its creates are read again, maybe by another worker, maybe with other brands."""
        self._pending.pop(batch_id, None)


def mentions_none() -> pl.Expr:
    return pl.col("brands").list.len().fill_null(0) == 0
