"""Warm-up: made-up events pass every step, and nothing of them stays."""

from __future__ import annotations

from pipeline.batch import EventBatch, Partition
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from pipeline.sources.memory import batch_of
from pipeline.step import Revisions
from pipeline.worker.hot_path import HotPath
from pipeline.worker.warm_up import made_up_records, warm_up
from tests.contracts.test_steps import CHAIN


class Ends:
    """A memory of how batches end."""

    def __init__(self) -> None:
        self.given: list[EventBatch] = []

    def landed(self, batch: EventBatch, refused: Revisions) -> None:
        raise AssertionError("made-up events never land")

    def given_up(self, batch: EventBatch) -> None:
        self.given.append(batch)

    def left(self, partitions: set[Partition] | None) -> None:
        raise NotImplementedError


def test_made_up_events_pass_every_step_and_leave_nothing() -> None:
    index, ends, table = RevisionIndex(KeySet(1_000, 1e9)), Ends(), MemoryTable()
    steps = [Dedup(index) if (step := make()).name == Dedup.name else step for make in CHAIN]
    path = HotPath(steps, MemoryLanding(table), [index, ends])
    for _ in range(2):  # the second time they are no duplicates
        warm_up(path, batch_of(made_up_records(), batch_id=0))
    for batch in ends.given:
        assert batch.events.height == batch.read == 3 and not batch.rejected and not batch.dropped and not batch.id
        assert batch.events.get_column("sentiment_status").null_count() < 3, "the model has run"
