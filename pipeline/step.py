"""The contract of a step."""

from __future__ import annotations

from typing import Protocol

from pipeline.batch import EventBatch


class Step(Protocol):
    """One stage of the hot path: it takes a micro-batch and returns the batch with the rows that go on.

    Keep a row: leave it. Drop it: `batch.drop(mask, reason)`. Reject it: `batch.reject(mask, reason, self.name)`. Steps are
    synchronous, run one batch at a time in the order of arrival, and know neither Kafka nor Faust. The flow measures their time
    and counts dropped and rejected rows; a step counts only what nobody else can see (the labeller's cache hits).
    """

    name: str

    def process(self, batch: EventBatch) -> EventBatch:
        """The batch after this step. Raises only if no batch could succeed: the worker then stops and Kafka replays."""
        ...
