"""HotPath: steps in order, one landing, and memories that hear of each end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.batch import EventBatch, Partition
from pipeline.fence import GivenUp
from pipeline.sources.memory import batch_of
from pipeline.step import Revisions
from pipeline.worker.hot_path import HotPath


class Traced:
    """A step, a landing and a memory that writes its calls down."""

    def __init__(self, name: str, trace: list[str]) -> None:
        self.name, self._trace = name, trace
        self.refused: list[int] = []
        self.error: Exception | None = None

    def _note(self, what: str, *about: object) -> None:
        self._trace.append(" ".join(map(str, (self.name, what, *about))))

    def process(self, batch: EventBatch) -> EventBatch:
        self._note("process", batch.id)
        return batch

    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        self._note("land", [batch.id for batch in batches])
        if self.error is not None:
            raise self.error
        return self.refused

    def landed(self, batch: EventBatch, refused: Revisions) -> None:
        self._note("landed", batch.id, refused.tolist(), refused.dtype)

    def given_up(self, batch: EventBatch) -> None:
        self._note("given up", batch.id)

    def left(self, partitions: set[Partition] | None) -> None:
        self._note("left", partitions)


@pytest.fixture
def trace() -> list[str]:
    return []


def test_a_batch_passes_the_steps_lands_and_every_memory_hears_of_it(trace: list[str]) -> None:
    a, b, landing = (Traced(name, trace) for name in ("a", "b", "landing"))
    landing.refused = [7]
    path = HotPath([a, None, b], landing, [b, None, a])
    path.land([path.process(batch_of([], batch_id=n)) for n in (1, 2)])
    assert trace == [
        "a process 1", "b process 1", "a process 2", "b process 2", "landing land [1, 2]",
        "b landed 1 [7] uint64", "a landed 1 [7] uint64", "b landed 2 [7] uint64", "a landed 2 [7] uint64",
    ]  # fmt: skip


def test_a_landing_that_gives_up_is_no_landing_for_the_memories(trace: list[str]) -> None:
    landing = Traced("landing", trace)
    landing.error = GivenUp()
    path = HotPath([], landing, [Traced("memory", trace)])
    with pytest.raises(GivenUp):
        path.land([batch_of([])])
    assert trace == ["landing land [1]"]


def test_batches_that_are_given_up_and_partitions_that_leave_reach_every_memory(trace: list[str]) -> None:
    a, b = Traced("a", trace), Traced("b", trace)
    path = HotPath([], a, [a, b])
    path.give_up(batch_of([], batch_id=3))
    path.leave({("events", 1)})
    path.leave(None)
    assert trace == [
        "a given up 3", "b given up 3", "a left {('events', 1)}", "b left {('events', 1)}", "a left None", "b left None",
    ]  # fmt: skip
