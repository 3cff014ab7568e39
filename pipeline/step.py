"""The contracts of the hot path: a step, and state about batches on their way."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.batch import EventBatch, Partition

Revisions = npt.NDArray[np.uint64]
"""Values of column `revision`."""


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


class BatchMemory(Protocol):
    """State about batches on their way, or about partitions, which a step or a thread keeps outside the batches.

    HotPath (pipeline/worker/hot_path.py) reports the end of each batch, and the loss of partitions. Each method is idempotent,
    ignores batches and partitions that it does not know, and runs on another thread than the steps.
    """

    def landed(self, batch: EventBatch, refused: Revisions) -> None:
        """The rows of the batch are in ClickHouse, except the revisions `refused`, of this batch or of changes that waited."""
        ...

    def given_up(self, batch: EventBatch) -> None:
        """The batch is never written: its records are read again, by this worker or by another."""
        ...

    def left(self, partitions: set[Partition] | None) -> None:
        """Another worker owns these partitions now; None: all of them, and no batch is on its way any more."""
        ...
