"""What waits beyond what memory holds: the table has it, and each change still meets its event, once."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors import waiting
from pipeline.processors.completion import Completion
from pipeline.processors.waiting_table import Bounds
from pipeline.sinks.memory import MemoryLanding, MemoryPending, MemoryTable
from tests.support.hot_path import PathRun

pytestmark = pytest.mark.slow

LIMIT = 8


def create(number: int) -> dict[str, Any]:
    return {"id": str(number), "platform": "x", "kind": "post", "created_at": "2026-09-21T14:00:00Z", "text": "first"}


def like(number: int, likes: int = 1) -> dict[str, Any]:
    changed = {"operation": "update", "occurred_at": f"2026-09-21T14:00:{likes:02d}Z", "metrics": {"likes": likes}}
    return {"id": str(number), "platform": "x"} | changed


class Run(PathRun):
    """A worker over tables in memory that keeps LIMIT waiting changes in its own."""

    def __init__(
        self,
        table: MemoryTable | None = None,
        pending: MemoryPending | None = None,
        now: float = 1_790_000_000.0,
        come_at_once: int = 30,
    ) -> None:
        self.now = now
        self.table, self.pending = table or MemoryTable(), pending or MemoryPending()
        bounds = Bounds(LIMIT, look_at_once=5, come_at_once=come_at_once)
        completion = Completion(self.table, 7 * 86400, self.pending, bounds, clock=lambda: self.now)
        self.landing = MemoryLanding(self.table, self.pending)
        super().__init__(self.landing, completion, clock=lambda: self.now)
        rows = pending.waiting(LIMIT) if pending and pending.rows.width else None
        self.held.load(rows or waiting.Loaded(pl.DataFrame(), NO_KEYS), {("events", 0)})

    def rounds(self, count: int = 12) -> list[EventBatch]:
        """Empty batches, as an idle worker has them, six seconds apart."""
        batches = []
        for _ in range(count):
            self.now += 6
            batches.append(self.landed())
        return batches


NO_KEYS = pl.DataFrame(schema={"event_key": pl.UInt64, "revision": pl.UInt64, "topic": pl.String, "partition": pl.Int32})


def full(count: int = 30, come_at_once: int = 30) -> Run:
    """A worker for which so many changes wait, that came a few at a time."""
    run = Run(come_at_once=come_at_once)
    for first in range(0, count, 3):
        run.now += 0.3
        run.landed(*(like(number) for number in range(first, min(first + 3, count))))
    return run


def test_memory_holds_no_more_than_it_may() -> None:
    run = full()
    assert run.held.in_memory <= LIMIT and len(run.held) == run.pending.rows.height == 30
    assert run.held.beyond == 30 - run.held.in_memory


def test_what_is_not_in_the_table_yet_stays_in_memory() -> None:
    run = Run()
    first = run.feed(*(like(number) for number in range(20)))
    second = run.feed(like(20))
    assert run.held.in_memory == 21 and run.held.beyond == 0
    run.land(first, second)
    run.landed(like(21))
    assert run.held.in_memory <= LIMIT and len(run.held) == 22


def test_partitions_that_come_leave_nothing_to_the_table_that_is_not_there_yet() -> None:
    """Else a round of slices ends without it, and once it is there nobody looks."""
    run = Run()
    flying = [run.feed(*(like(number) for number in range(20)))]
    run.held.load(waiting.Loaded(pl.DataFrame(), NO_KEYS), {("events", 1)})
    for _ in range(2):
        run.now += 6
        flying.append(run.feed())
    assert run.held.in_memory == 20
    run.land(*flying)
    run.rounds(2)
    run.landed(*(create(number) for number in range(20)))
    run.rounds()
    assert run.table.rows.height == 40 and len(run.held) == 0 and run.pending.rows.height == 0


def test_what_a_batch_that_was_given_up_let_wait_does_not_wait() -> None:
    run = Run()
    run.path.give_up(run.feed(*(like(number) for number in range(20))))
    batch = run.landed(create(3))
    assert batch.events.height == 1 and len(run.held) == 0


def test_a_change_that_clickhouse_lets_not_wait_is_not_applied() -> None:
    run = Run()
    batch = run.feed(*(like(number) for number in range(3)))
    assert batch.waiting is not None
    refused = batch.waiting.get_column("revision")[:1]
    batch.waiting = batch.waiting[1:]
    run.landing.refused = refused.to_list()
    run.land(batch)
    run.landing.refused = []
    batch = run.landed(*(create(number) for number in range(3)))
    assert batch.events.height == 5 and refused[0] not in batch.events.get_column("revision")
    assert batch.settled_changes is not None and batch.settled_changes.height == 2


@pytest.mark.parametrize("restart", [False, True])
def test_each_change_lands_with_its_create_and_once(restart: bool) -> None:
    run = full()
    if restart:
        run = Run(run.table, run.pending, run.now)
    for number in range(30):
        batch = run.landed(create(number))
        assert batch.events.get_column("operation").to_list() == ["create", "update"], number
    assert run.pending.rows.height == 0
    assert run.table.rows.get_column("revision").n_unique() == run.table.rows.height == 60
    run.rounds()
    assert len(run.held) == 0 and run.table.rows.height == 60


def test_what_is_settled_on_its_way_is_not_given_out_again_by_the_table() -> None:
    run = full()
    batches = [run.feed(*(create(number) for number in range(10)))]
    for _ in range(8):
        run.now += 6
        batches.append(run.feed())
    run.land(*batches)
    assert run.table.rows.height == 20 and run.table.rows.get_column("revision").n_unique() == 20
    assert run.pending.rows.height == 20


def test_an_event_that_another_worker_landed_is_found_slice_by_slice() -> None:
    run, other = full(), Run()
    other.landed(*(create(number) for number in range(30)))
    run.table.insert(other.table.rows)
    looked_at = [batch.events.height for batch in run.rounds(14)]
    assert sum(looked_at) == 30 and max(looked_at) <= 2 * 5 + LIMIT
    assert len(run.held) == 0 and run.pending.rows.height == 0


def test_a_slice_that_takes_long_is_followed_by_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    run = full()
    asked: list[tuple[int, int]] = []
    after = run.pending.after

    def counted(last: tuple[int, int], *rest: Any) -> pl.DataFrame:
        asked.append(last)
        return after(last, *rest)

    monkeypatch.setattr(run.pending, "after", counted)
    run.now += 6
    run.feed()
    run.held._looked = True
    run.held.took(10.0)
    run.rounds(10)
    assert len(asked) == 1
    run.now += 200
    run.feed()
    assert len(asked) == 2


def test_a_slice_without_anything_new_is_followed_by_a_pause_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its query alone counts: here it takes ten seconds, and all that it finds is in memory."""
    seconds = [0.0]
    monkeypatch.setattr("pipeline.processors.completion.time.perf_counter", lambda: seconds[-1])
    run = full()

    def nothing_new(*_: Any) -> pl.DataFrame:
        seconds.append(seconds[-1] + 10)
        return run.pending.rows[-5:]

    monkeypatch.setattr(run.pending, "after", nothing_new)
    run.now += 6
    run.feed(create(100))
    run.feed(create(101))
    assert seconds == [0.0, 10.0]
    run.now += 199
    run.feed(create(102))
    assert seconds == [0.0, 10.0]
    run.now += 2
    run.feed(create(103))
    assert seconds == [0.0, 10.0, 20.0]


def test_looks_from_memory_take_no_more_than_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    asked: list[int] = []
    newest = run.table.newest
    run.table.newest = lambda keys: (asked.append(keys.height), newest(keys))[1]  # type: ignore[method-assign, func-returns-value]
    run.landed(like(1), like(2))
    ticks = iter(range(0, 1_000_000, 10))
    monkeypatch.setattr("pipeline.processors.completion.time.perf_counter", lambda: next(ticks))
    run.rounds(1)
    assert asked == [2, 2], "when they came, and after six seconds"
    run.rounds(30)
    assert len(asked) == 2, "a look took 10 s"
    run.landed(create(1))
    assert asked == [2, 2, 1] and run.table.rows.height == 2, "who comes is looked up at once"
    run.rounds(4)
    assert asked == [2, 2, 1, 1]


def test_what_waits_too_long_in_the_table_is_given_up() -> None:
    run = full()
    run.now += 8 * 86400
    batches = run.rounds(16)
    assert sum(batch.dropped["no base row"] for batch in batches) == 30
    assert len(run.held) == 0 and run.pending.rows.height == 0


def test_one_that_landed_before_a_kill_is_told_and_does_not_land_again() -> None:
    run = full()
    batch = run.feed(*(create(number) for number in range(30)))
    run.table.insert(batch.events)  # and killed before anything was marked done
    heir = Run(run.table, run.pending, run.now)
    batches = heir.rounds(20)
    told = pl.concat([batch.replayed for batch in batches if batch.replayed is not None])
    assert told.get_column("revision").n_unique() == told.height == 30
    assert heir.table.rows.height == 60 and heir.pending.rows.height == 0


def test_partitions_that_leave_take_what_waits_of_them_along() -> None:
    run = full()
    run.path.leave({("events", 0)})
    batches = run.rounds()
    assert len(run.held) == 0 and not any(batch.settled_changes is not None for batch in batches)
    assert run.landed(create(3)).events.height == 1, "the change is another worker's by now"
    assert run.pending.rows.height == 30


@pytest.mark.parametrize("where", ["memory", "table", "another worker"])
def test_a_hot_event_meets_its_changes_a_bounded_number_a_batch(where: str) -> None:
    run = Run(come_at_once=7)
    if where == "memory":
        run.landed(*(like(1, likes) for likes in range(1, 41)))
    for likes in range(1, 41) if where != "memory" else ():
        run.now += 0.1
        run.landed(like(1, likes))
    if where == "another worker":
        run = Run(run.table, run.pending, run.now, come_at_once=7)
    batches = [run.feed(create(1)), run.feed(create(2)), run.feed()]
    run.land(*batches)
    batches += [run.landed() for _ in range(6)]
    rows = [batch.events.filter(pl.col("id") == "1").height for batch in batches]
    assert max(rows) <= 1 + 2 * 7 + 2 * 5
    duplicates = sum(batch.dropped["duplicate"] for batch in batches)
    assert sum(rows) + duplicates == 41, "each ends once"
    assert run.table.rows.get_column("revision").n_unique() == run.table.rows.height
    (row,) = run.table.final().filter(pl.col("id") == "1").iter_rows(named=True)
    assert (row["metrics_likes"], row["text"]) == (40, "first")
    assert run.pending.rows.height == 0
    run.rounds()
    assert len(run.held) == 0 and run.held.creates is None


def test_what_goes_with_the_next_batches_stays_in_memory_until_then() -> None:
    run = Run(come_at_once=3)
    for likes in range(1, LIMIT + 1):
        run.landed(like(1, likes))
    batches = [run.landed(create(1), *(like(number) for number in range(2, 9))), run.landed(), run.landed()]
    assert [batch.events.height for batch in batches] == [4, 3, 2]
    assert run.pending.rows.height == len(run.held) == 7 and run.held.creates is not None


def test_a_hot_event_that_is_given_up_leaves_nothing_behind() -> None:
    run = full(1, come_at_once=7)
    run.landed(*(like(1, likes) for likes in range(1, 41)))
    run.feed(create(1))
    run.path.leave(None)
    batch = run.feed()
    assert batch.events.height == 0 and batch.settled_changes is None and run.held.creates is None
