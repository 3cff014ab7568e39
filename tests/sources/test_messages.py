"""Batches from messages of Kafka's client: the times that producers give."""

from __future__ import annotations

import time

import polars as pl
import pytest
from confluent_kafka import Message

from pipeline.sources.messages import batch_from

NOW_MS = int(time.time() * 1000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1_000, 1_000), (NOW_MS * 1_000, None), (2**62, None), (NOW_MS + 86_400_000, None), (-1, 0), (-(2**62), 0)],
    ids=["a second of 1970", "microseconds", "any number", "a clock ahead", "none", "negative"],
)
def test_no_record_is_from_later_than_now(given: int, expected: int | None) -> None:
    messages = [
        Message(topic="t", partition=0, offset=n, value=b"{}", timestamp=(1, each)) for n, each in enumerate([5, given])
    ]
    batch = batch_from(messages, "t", 1, 0, [])
    assert batch.timestamps is not None
    (read,) = batch.kafka_ms(pl.Series([1], dtype=pl.UInt32))
    assert read == expected if expected is not None else NOW_MS <= read <= time.time() * 1000
    assert batch.origins[0].last_ms == max(5, read)
