"""Batches from records in memory, for tests and benchmarks of steps."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.batch import EventBatch, Origin
from pipeline.records import Records

ROW_SCHEMA = {"row": pl.UInt32, "topic": pl.String, "partition": pl.Int32, "offset": pl.Int64}


def batch_of(raw: Sequence[bytes | None], first_offset: int = 0, batch_id: int = 1, topic: str = "events") -> EventBatch:
    """The records as one batch of one partition, as sources/kafka.py makes them."""
    count = len(raw)
    frame = pl.DataFrame(
        {
            "row": range(count),
            "topic": pl.repeat(topic, count, eager=True),
            "partition": pl.repeat(0, count, eager=True),
            "offset": range(first_offset, first_offset + count),
        },
        schema=ROW_SCHEMA,
    )
    origin = Origin(topic, 0, first_offset, first_offset + count - 1)
    return EventBatch(batch_id, frame, Records(raw), [None] * count, (origin,) if count else (), read=count)
