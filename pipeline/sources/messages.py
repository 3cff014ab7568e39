"""Batches from the messages of Kafka's client.

Kafka's time of a record is its producer's, who may give any (microseconds, a clock ahead, none): it counts as of now at most.
"""

from __future__ import annotations

import time
from operator import itemgetter

import numpy as np
import polars as pl
from confluent_kafka import Message

from pipeline.batch import EventBatch, Origin, Unreadable
from pipeline.records import Records
from pipeline.sources.memory import ROW_SCHEMA


def batch_from(messages: list[Message], topic: str, batch_id: int, generation: int, unreadable: list[Unreadable]) -> EventBatch:
    """The messages as a batch; row i is message i."""
    count = len(messages)
    partitions = np.fromiter(map(Message.partition, messages), np.int32, count)
    offsets = np.fromiter(map(Message.offset, messages), np.int64, count)
    frame = pl.DataFrame(
        {
            "row": np.arange(count, dtype=np.uint32),
            "topic": pl.repeat(topic, count, dtype=pl.String, eager=True),
            "partition": partitions,
            "offset": offsets,
        },
        schema=ROW_SCHEMA,
    )
    now = int(time.time() * 1000)  # later than every record that was read of its partition
    timestamps = np.fromiter(map(itemgetter(1), map(Message.timestamp, messages)), np.int64, count).clip(0, now)
    origins = []
    for partition in np.unique(partitions):
        mine = partitions == partition
        span, times = offsets[mine], timestamps[mine]
        origins.append(Origin(topic, int(partition), int(span.min()), int(span.max()), int(times.min()), int(times.max())))
    origins += [Origin(passed.topic, passed.partition, passed.first, passed.last, now, now) for passed in unreadable]
    return EventBatch(
        id=batch_id,
        events=frame,
        raw=Records(list(map(Message.value, messages))),
        keys=Records(list(map(Message.key, messages))),
        origins=tuple(origins),
        read=count + len(unreadable),
        generation=generation,
        timestamps=timestamps,
        unreadable=unreadable,
    )
