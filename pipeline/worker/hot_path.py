"""The hot path: a batch goes through the steps and lands, and every memory of batches hears of its end.

Who runs it: the worker, a thread for each step (worker/flow.py); `earshot generate --to clickhouse`, the benchmarks and the
tests, on one thread with `process`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.batch import EventBatch, Partition
from pipeline.step import BatchMemory, Step


class Lands(Protocol):
    """Writes batches (sinks/landing.py)."""

    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        """On return every row is stored. Returns the revisions that were refused and are dead letters."""
        ...


class HotPath:
    """The steps in their order, the landing, and the memories in the order in which they hear that a batch has landed.

    None stands for a step or memory that the settings switch off.
    """

    def __init__(self, steps: Sequence[Step | None], landing: Lands, memories: Sequence[BatchMemory | None]) -> None:
        self.steps = [step for step in steps if step is not None]
        self._landing = landing
        self._memories = [memory for memory in memories if memory is not None]

    def process(self, batch: EventBatch) -> EventBatch:
        """The batch after all steps."""
        for step in self.steps:
            batch = step.process(batch)
        return batch

    def land(self, batches: Sequence[EventBatch]) -> None:
        """Lands batches of one generation together. Raises GivenUp when it is over: then the caller gives each batch up."""
        refused = np.array(self._landing.land(batches), dtype=np.uint64)
        for batch in batches:
            for memory in self._memories:
                memory.landed(batch, refused)

    def give_up(self, batch: EventBatch) -> None:
        """The batch is never written."""
        for memory in self._memories:
            memory.given_up(batch)

    def leave(self, partitions: set[Partition] | None) -> None:
        """Another worker owns these partitions; None: all of them, and no batch is on its way any more."""
        for memory in self._memories:
            memory.left(partitions)
