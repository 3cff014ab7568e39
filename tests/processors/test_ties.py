"""Ties: of two changes of one time within a partition, the one with the higher offset counts, whatever is read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.processors.completion import Completion
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from tests.support.hot_path import PathRun, Record, new_index


class Worker(PathRun):
    """Workers of one partition, one after the other, over a table in memory. The partition is `log`."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        super().__init__(MemoryLanding(self.table), Completion(self.table, 1e9))
        self.log: list[Record] = []

    def say(self, *records: Record) -> None:
        """The records come, and land."""
        self.log += records
        self.landed(*records)

    def killed(self, committed: int, merged: bool) -> None:
        """The next worker knows the revisions that the table has, and reads on from offset `committed`."""
        if merged and self.table.rows.width:
            self.table.rows = self.table.final()
        self.path.leave(None)
        self.flying.clear()
        self.use(new_index())
        if self.table.rows.width:
            self.index.stored.add(self.table.rows.get_column("revision").to_numpy())
        self.offset = committed

    def row(self) -> dict[str, Any]:
        """The event as it stands."""
        rows = self.table.final()
        assert rows.height == 1
        return rows.row(0, named=True)


def create(**more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "kind": "post", "created_at": at(0), "text": "first"} | more


def change(seconds: int, **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "operation": "update", "occurred_at": at(seconds)} | more


def likes(seconds: int, count: int) -> dict[str, Any]:
    return change(seconds, metrics={"likes": count})


def at(seconds: int) -> str:
    return f"2026-09-21T14:00:{seconds:02d}Z"


@pytest.mark.parametrize("again", [1, 2], ids=["the first alone", "both"])
def test_a_replay_after_a_merge_brings_no_older_change_back(again: int) -> None:
    run = Worker()
    run.say(create())
    run.say(likes(5, 5))
    run.say(likes(5, 6))
    run.killed(committed=1, merged=True)
    batch = run.landed(*run.log[1 : 1 + again])
    assert (run.row()["metrics_likes"], batch.dropped["duplicate"]) == (6, again)


def test_waiting_changes_of_one_time_go_by_offset() -> None:
    run = Worker()
    run.say(likes(5, 5))
    run.say(likes(5, 6))
    run.say(create())
    assert run.row()["metrics_likes"] == 6


def test_a_create_is_newer_than_a_change_of_its_time_before_it() -> None:
    run = Worker()
    run.say(change(0, text="of the change"), likes(0, 3))
    run.say(create())
    assert (run.row()["text"], run.row()["metrics_likes"]) == ("first", 3)
    run.say(change(0, text="of the change after it"))
    assert run.row()["text"] == "of the change after it"


def test_a_waiting_change_does_not_undo_the_change_after_it() -> None:
    """The later one came with the event's create, whose batch is on its way, while the first one waited elsewhere."""
    run = Worker()
    run.feed(change(5, text="before"))
    run.feed(create(), change(5, text="after"))
    run.land()
    assert run.row()["text"] == "after"


def test_of_other_partitions_the_one_that_comes_later_counts() -> None:
    run = Worker()
    run.say(create(), likes(5, 5))
    run.table.rows = run.table.rows.with_columns(partition=run.table.rows.get_column("partition") + 1)
    run.offset = 0
    run.say(likes(5, 6))
    assert run.row()["metrics_likes"] == 6


GROUPS: dict[str, Callable[[int], Any]] = {
    "text": lambda number: f"text {number}",
    "metrics": lambda number: {"likes": number},
    "author": lambda number: {"handle": f"h{number}"},
}
COLUMNS = {"text": "text", "metrics": "metrics_likes", "author": "author_handle"}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[tuple[int, int, bool] | None]]:
    """Records of one event, few times among them, and where a worker is killed: how far it had come, what it had committed."""
    changes = draw(st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from(sorted(GROUPS)), min_size=1)), max_size=7))
    records: list[dict[str, Any]] = [
        change(seconds, **{group: GROUPS[group](number) for group in sorted(groups)})
        for number, (seconds, groups) in enumerate(changes)
    ]
    records.insert(draw(st.integers(0, len(records))), create())
    kill = st.tuples(st.integers(0, len(records)), st.integers(0, len(records)), st.booleans())
    return records, draw(st.lists(st.none() | kill, max_size=3))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_any_batches_and_kills_end_by_time_and_offset(
    history: tuple[list[dict[str, Any]], list[tuple[int, int, bool] | None]], data: st.DataObject
) -> None:
    records, kills = history
    run = Worker()
    for kill in [*kills, None]:
        until, committed, merged = kill or (len(records), 0, False)
        while run.offset < until:
            size = data.draw(st.integers(1, until - run.offset))
            run.feed(*records[run.offset : run.offset + size])
            if data.draw(st.booleans()):
                run.land()
        if kill:
            # What was committed has landed, and so have changes that wait: this test has no table of them.
            run.land()
            run.killed(0 if run.completion.waiting else min(committed, run.offset), merged)
            if not run.offset:
                run.completion.held.left(None)
    run.land()
    row = run.row()
    for group, column in COLUMNS.items():
        carried = [(each.get("occurred_at", at(0)), place) for place, each in enumerate(records) if group in each]
        wanted = records[max(carried)[1]][group] if carried else None
        wanted = next(iter(wanted.values())) if isinstance(wanted, dict) else wanted
        assert row[column] == wanted, group
