"""Relevance: drops what mentions no tracked brand, where the settings ask for it (worker.keep_irrelevant = false)."""

from __future__ import annotations

import polars as pl

from pipeline.batch import EventBatch


class Relevance:
    """The step. Drops as "irrelevant"; runs after completion, so that a change is judged with its event. Tombstones stay."""

    name = "relevance"

    def process(self, batch: EventBatch) -> EventBatch:
        irrelevant = (pl.col("brands").list.len().fill_null(0) == 0) & (pl.col("is_deleted") == 0)
        batch.drop(batch.events.select(irrelevant).to_series(), "irrelevant")
        return batch
