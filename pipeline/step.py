"""The contract of a step."""

from __future__ import annotations

from typing import Protocol

from pipeline.batch import EventBatch


class Step(Protocol):
    """One stage: takes a micro-batch, returns what is left of it.

    Keep a row: leave it. Drop it: `batch.drop(mask, reason)`. Reject it: `batch.reject(mask, reason, self.name)`.
    Raise only when no batch could succeed; the worker then stops and Kafka replays. Steps are synchronous, run one batch at a
    time in the order of arrival, and know neither Kafka nor Faust nor metrics.
    """

    name: str

    def process(self, batch: EventBatch) -> EventBatch: ...
