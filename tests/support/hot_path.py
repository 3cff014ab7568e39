"""A worker's hot path without Kafka, for tests: records in, batches out; they land when the test says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.batch import EventBatch
from pipeline.clock import Clock, wall
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.relevance import Relevance
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import BatchMemory, Step
from pipeline.worker.hot_path import HotPath, Lands

Record = dict[str, Any] | bytes


def new_index() -> RevisionIndex:
    return RevisionIndex(KeySet(1_000, 1e9))


class PathRun:
    """Decode, dedup, mentions, `completion`, `after`, then `landing`. `flying` are the batches that neither landed nor were
    given up; record n of a run has offset n."""

    def __init__(
        self,
        landing: Lands,
        completion: Completion,
        mentions: Mentions | None = None,
        after: Sequence[Step] = (),
        relevance: Relevance | None = None,
        clock: Clock = wall,
        index: RevisionIndex | None = None,
    ) -> None:
        self.completion, self.held = completion, completion.held
        self._landing, self._clock = landing, clock
        self._middle: list[Step | None] = [mentions or Mentions(Brands(brands=())), completion, relevance, *after]
        self._memories: list[BatchMemory | None] = [relevance, completion]
        self.use(index or new_index())
        self.flying: list[EventBatch] = []
        self.offset = self.batches = 0

    def use(self, index: RevisionIndex) -> None:
        """Dedup knows the revisions of this index from now on."""
        self.index = index
        first: list[Step] = [Decode(clock=self._clock), Dedup(index)]
        self.path = HotPath([*first, *self._middle], self._landing, [index, *self._memories])

    def feed(self, *records: Record) -> EventBatch:
        """The records as a batch that has passed all steps."""
        self.batches += 1
        raw = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
        batch = batch_of(raw, self.offset, self.batches)
        self.offset += len(raw)
        self.stamp(batch)
        batch = self.path.process(batch)
        self.flying.append(batch)
        return batch

    def stamp(self, batch: EventBatch) -> None:
        """A test that needs Kafka's times sets them here."""

    def land(self, *batches: EventBatch) -> None:
        """Lands these batches together, or all that fly."""
        landing = batches or tuple(self.flying)
        if landing:
            self.path.land(landing)
        self.flying = [batch for batch in self.flying if not any(batch is landed for landed in landing)]

    def landed(self, *records: Record) -> EventBatch:
        """The records as a batch that has landed."""
        batch = self.feed(*records)
        self.land(batch)
        return batch

    def give_up(self) -> None:
        """All partitions leave, and every batch that flies is given up."""
        self.path.leave(None)
        for batch in self.flying:
            self.path.give_up(batch)
        self.flying.clear()
