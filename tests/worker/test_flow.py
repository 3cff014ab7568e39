"""Flow: batches through agents, in order; errors that stop the worker; batches that are given up; the log of landings."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl
import pytest

from pipeline.batch import EventBatch, Partition
from pipeline.fence import Fence, GivenUp
from pipeline.monitoring.health import Vitals
from pipeline.records import Records
from pipeline.step import Revisions
from pipeline.worker.flow import Flow, LandingLog
from pipeline.worker.hot_path import HotPath
from pipeline.worker.in_flight import InFlightLimit
from schemas.labels import COLUMNS
from schemas.times import TIME
from tests.support.worker import wait_for

FRAME = pl.DataFrame(schema={"row": pl.UInt32, "occurred_at": TIME, **COLUMNS})


class Gate:
    """A step that writes down its batches, and holds them while it is closed."""

    def __init__(self, name: str, trace: list[tuple[str, int]]) -> None:
        self.name, self._trace = name, trace
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None

    def process(self, batch: EventBatch) -> EventBatch:
        self._trace.append((self.name, batch.id))
        assert self.open.wait(10)
        if self.error is not None:
            raise self.error
        return batch


class Bench:
    """Two steps and a landing in one flow, which runs on a thread of its own; it is the landing and the memory, too."""

    def __init__(self) -> None:
        self.trace: list[tuple[str, int]] = []
        self.first, self.second, self.gate = (Gate(name, self.trace) for name in ("first", "second", "gate"))
        self.together: list[list[int]] = []
        self.ends: list[tuple[str, int]] = []
        self.committed: list[int] = []
        self.refuse_commit = False
        self.fence, self.room = Fence(), InFlightLimit(4)
        self.stopping: Callable[[], None] = lambda: None
        self.error: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(20)

    async def _live(self) -> None:
        # Here, because Faust makes a loop of its own where none runs.
        path = HotPath([self.first, self.second], self, [self])
        self.flow = Flow(path, self._commit, self.fence, Vitals(), self.room)
        try:
            await self.flow.run(self._started.set, lambda: self.stopping())
        finally:
            # Faust makes a loop for a consumer that it never starts here, and never closes it.
            consumer: Any = self.flow.app.consumer
            consumer._thread.thread_loop.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            self.error = error

    # --- landing
    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        self.together.append([batch.id for batch in batches])
        self.gate.process(batches[0])
        return []

    # --- memory
    def landed(self, batch: EventBatch, refused: Revisions) -> None:
        self.ends.append(("landed", batch.id))

    def given_up(self, batch: EventBatch) -> None:
        self.ends.append(("given up", batch.id))

    def left(self, partitions: set[Partition] | None) -> None:
        raise NotImplementedError

    # --- offsets
    def _commit(self, batch: EventBatch) -> None:
        if self.refuse_commit:
            raise GivenUp
        self.committed.append(batch.id)

    # --- the test
    def put(self, number: int, behind: bool = False) -> EventBatch:
        batch = EventBatch(number, FRAME, Records([]), [], (), read=0, generation=self.fence.generation, behind=behind)
        self.room.take(batch)
        self.flow.put(batch)
        return batch

    def waits_for_ever(self) -> None:
        """The time of a landing that waits for more batches stands still."""
        gathering = self.flow._gathering
        self.asked = 0

        def clock() -> float:
            self.asked += 1
            return 0.0

        gathering._clock = clock

    def traced(self, step: str, number: int) -> None:
        wait_for(f"batch {number} is at {step}", lambda: (step, number) in self.trace, 10, every=0.005)

    def empty(self) -> None:
        assert self.room.wait_empty(10)

    def ended(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        for gate in (self.first, self.second, self.gate):
            gate.open.set()
        if self._thread.is_alive():
            self.flow.stop()
        self.ended()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_batches_pass_the_steps_in_order_land_and_are_committed(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.put(number)
    bench.empty()
    for step in ("first", "second"):
        assert [number for name, number in bench.trace if name == step] == [1, 2, 3]
    assert bench.ends == [("landed", 1), ("landed", 2), ("landed", 3)] and bench.committed == [1, 2, 3]
    bench.close()
    assert bench.error is None


def test_a_step_works_on_one_batch_while_the_next_step_has_the_one_before(bench: Bench) -> None:
    bench.second.open.clear()
    bench.put(1)
    bench.put(2)
    bench.traced("second", 1)
    bench.traced("first", 2)
    assert not bench.committed


def test_batches_that_wait_for_the_landing_land_together(bench: Bench) -> None:
    bench.gate.open.clear()
    for number in (1, 2, 3, 4):
        bench.put(number)
    bench.traced("gate", 1)
    bench.traced("second", 4)
    threading.Event().wait(0.1)
    bench.gate.open.set()
    bench.empty()
    assert bench.together == [[1], [2, 3, 4]] and bench.committed == [1, 2, 3, 4]


def test_while_the_worker_is_behind_a_landing_waits_for_more(bench: Bench) -> None:
    """The last batch, which is not full, ends the wait."""
    bench.waits_for_ever()
    bench.second.open.clear()
    bench.put(1, behind=True)
    bench.traced("second", 1)
    bench.put(2, behind=True)
    bench.put(3)
    bench.second.open.set()
    wait_for("all have landed", lambda: bench.committed == [1, 2, 3])  # not `empty`, for which they would land at once
    assert bench.together == [[1, 2, 3]]


def test_a_batch_that_waits_for_more_lands_at_once_when_somebody_waits_for_its_end(bench: Bench) -> None:
    bench.waits_for_ever()
    bench.put(1, behind=True)
    wait_for("it waits", lambda: bench.asked > 2)
    assert not bench.together
    assert bench.room.wait_empty(60) and bench.committed == [1]


def test_a_batch_that_waits_for_more_is_given_up_at_once_with_its_generation(bench: Bench) -> None:
    bench.waits_for_ever()
    bench.put(1, behind=True)
    wait_for("it waits", lambda: bench.asked > 2)
    bench.fence.end_generation()
    wait_for("it is given up", lambda: bench.ends == [("given up", 1)])
    bench.put(2)
    wait_for("the next one lands", lambda: bench.committed == [2])


@pytest.mark.parametrize("where", ["first", "second", "gate"])
def test_a_batch_that_fails_stops_the_worker_and_nothing_behind_it_lands(where: str) -> None:
    bench = Bench()
    gate: Gate = getattr(bench, where)
    gate.error = RuntimeError("a bug")
    stopped: list[bool] = []
    bench.stopping = lambda: stopped.append(True)
    bench.put(1)
    bench.ended()
    assert str(bench.error) == "a bug" and bench.flow.failure is bench.error
    assert not bench.committed and not bench.ends and not stopped, "there is nothing to wait for: a replay reads it again"
    with pytest.raises(GivenUp):
        bench.fence.check(bench.fence.generation)


def test_the_first_failure_is_the_one_that_is_raised() -> None:
    bench = Bench()
    bench.flow.fail(RuntimeError("first"))
    bench.flow.fail(RuntimeError("second"))
    bench.ended()
    assert str(bench.error) == "first"


def test_a_failure_while_the_rest_of_the_worker_ends_is_raised_too(bench: Bench) -> None:
    """As of the deferred labels, which end after the flow."""
    bench.flow.check()
    bench.flow.fail(RuntimeError("late"))
    with pytest.raises(RuntimeError, match="late"):
        bench.flow.check()


def test_batches_of_an_ended_generation_are_given_up_wherever_they_are(bench: Bench) -> None:
    bench.second.open.clear()
    bench.put(1)
    bench.put(2)
    bench.traced("second", 1)
    bench.traced("first", 2)
    bench.fence.end_generation()
    bench.put(3)
    bench.second.open.set()
    bench.empty()
    assert sorted(bench.ends) == [("given up", 1), ("given up", 2), ("landed", 3)] and bench.committed == [3]
    assert ("second", 2) not in bench.trace, "it leaves at the next agent"


def test_a_generation_that_ends_while_its_batches_land_gives_up_each(bench: Bench) -> None:
    bench.gate.open.clear()
    bench.put(1)
    bench.traced("gate", 1)
    bench.put(2)
    bench.put(3)
    bench.traced("second", 3)
    threading.Event().wait(0.1)
    bench.gate.error = GivenUp()
    bench.gate.open.set()
    bench.empty()
    assert bench.ends == [("given up", 1), ("given up", 2), ("given up", 3)] and not bench.committed


def test_a_batch_that_landed_too_late_to_be_committed_is_given_up(bench: Bench) -> None:
    bench.refuse_commit = True
    bench.put(1)
    bench.empty()
    assert bench.ends == [("landed", 1), ("given up", 1)]


def test_a_stop_runs_the_agents_until_the_source_has_stopped(bench: Bench) -> None:
    bench.gate.open.clear()
    bench.put(1)
    bench.traced("gate", 1)

    def stopping() -> None:
        bench.gate.open.set()
        bench.empty()

    bench.stopping = stopping
    bench.flow.stop()
    bench.ended()
    assert bench.error is None and bench.committed == [1]


def test_what_lands_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "earshot.delivery")
    now = 0.0
    landings = LandingLog(lambda: now)
    for tick in range(1, 1501):  # ten batches a second for two and a half minutes
        now = tick / 10
        landings.add(20)
    now = 1000.0
    landings.add(5)
    assert caplog.messages == [
        "12000 rows in 600 batches have landed in 60 s",
        "12000 rows in 600 batches have landed in 60 s",
        "6005 rows in 301 batches have landed in 880 s",
    ]
