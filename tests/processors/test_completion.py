"""Completion: every order of arrival of a create and its changes ends in the same row."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch import EventBatch
from pipeline.processors.completion import Completion
from pipeline.processors.merge import FILLED
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from schemas import events
from tests.support.hot_path import PathRun, Record

NONE = np.zeros(0, dtype=np.uint64)
START = 1_790_000_000
BOOKKEEPING = {"revision", "version", "row", "topic", "partition", "offset", "operation", "occurred_at", "ingested_at"}


def at(seconds: int) -> str:
    return f"2026-09-21T14:{seconds // 60:02d}:{seconds % 60:02d}Z"


def create(seconds: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "kind": "post", "created_at": at(seconds), "text": "first", "language": "en"} | more


def change(operation: str, seconds: int, **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "operation": operation, "occurred_at": at(seconds)} | more


class Run(PathRun):
    """Decode, dedup and completion over a table in memory; batches land when the test says so."""

    def __init__(self) -> None:
        self.now = float(START)
        self.table = MemoryTable()
        completion = Completion(self.table, waiting_s=7 * 86400, clock=lambda: self.now)
        super().__init__(MemoryLanding(self.table), completion, clock=lambda: self.now)

    def feed(self, *records: Record) -> EventBatch:
        batch = super().feed(*records)
        assert not batch.rejected
        return batch

    def row(self) -> dict[str, Any]:
        rows = self.table.final()
        assert rows.height == 1
        return {name: value for name, value in rows.row(0, named=True).items() if name not in BOOKKEEPING}


CASE = [
    create(author={"id": "a", "followers": 3}),
    change("update", 20, text="second", mentions=["@b"]),
    change("update", 10, metrics={"likes": 5}, author={"id": "a", "followers": 4}),
    change("delete", 30),
]


@pytest.mark.slow
@pytest.mark.parametrize("landing", ["each", "end", "one batch"])
@pytest.mark.parametrize("with_delete", [True, False])
def test_every_order_ends_in_the_same_row(landing: str, with_delete: bool) -> None:
    ends = []
    for order in itertools.permutations(CASE if with_delete else CASE[:3]):
        run = Run()
        if landing == "one batch":
            run.feed(*order)
        else:
            for record in order:
                run.feed(record)
                if landing == "each":
                    run.land()
        run.land()
        ends.append(run.row())
        assert run.completion.waiting == 0
    assert all(end == ends[0] for end in ends)
    if with_delete:
        assert ends[0]["is_deleted"] == 1
        assert ends[0]["text"] is None
    else:
        assert (ends[0]["text"], ends[0]["metrics_likes"], ends[0]["author_followers"]) == ("second", 5, 4)
        assert ends[0]["language"] is None, "a change replaces the whole of each group that it carries"


GROUPED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "text": st.fixed_dictionaries({"text": st.sampled_from(["a", "b", ""])}, optional={"language": st.just("de")}),
    "metrics": st.fixed_dictionaries({"metrics": st.fixed_dictionaries({"likes": st.integers(0, 9)})}),
    "author": st.fixed_dictionaries({"author": st.fixed_dictionaries({"handle": st.sampled_from(["h", "i"])})}),
}


History = tuple[list[dict[str, Any]], list[bool], list[int]]
"""Records, after which of them a batch ends, and the order in which they come."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    times = draw(st.lists(st.integers(1, 500), min_size=1, max_size=5, unique=True))
    fixed: dict[str, Any] = {"direction": "inbound", "conversation_id": "c", "order": {"id": "o", "amount": 5.0}}
    records = [create(**fixed, **(draw(GROUPED["author"]) if draw(st.booleans()) else {}))]
    for moment in times:
        operation = draw(st.sampled_from(["update"] * 4 + ["delete"]))
        carried: dict[str, Any] = {}
        for group in draw(st.sets(st.sampled_from(sorted(GROUPED)))) if operation == "update" else ():
            carried |= draw(GROUPED[group])
        if draw(st.booleans()):
            carried |= {"created_at": at(0), "kind": "post"}
        records.append(change(operation, moment, **carried))
    order = draw(st.permutations(range(len(records))))
    cuts = draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return records, cuts, list(order)


@settings(max_examples=50, deadline=None)
@given(histories())
@pytest.mark.slow
def test_any_order_any_batches_same_row(history: History) -> None:
    in_any_order(*history)


@settings(max_examples=1_000, deadline=None)
@given(histories())
@pytest.mark.faults
def test_any_order_any_batches_same_row_in_many_histories(history: History) -> None:
    in_any_order(*history)


def in_any_order(records: list[dict[str, Any]], cuts: list[bool], order: list[int]) -> None:
    straight = Run()
    for record in records:
        straight.feed(record)
        straight.land()
    shuffled = Run()
    group: list[dict[str, Any]] = []
    for place, cut in zip(order, cuts, strict=True):
        group.append(records[place])
        if cut:
            shuffled.feed(*group)
            group = []
            if place % 2:
                shuffled.land()
    if group:
        shuffled.feed(*group)
    shuffled.land()
    assert shuffled.row() == straight.row()


def test_each_record_has_one_outcome() -> None:
    run = Run()
    waits = run.feed(change("update", 5, metrics={"likes": 1}), change("delete", 9, id="other"))
    assert (waits.events.height, waits.waiting is not None and waits.waiting.height) == (0, 2)
    run.land()
    lands = run.feed(create(), change("update", 3, metrics={"likes": 0}))
    assert lands.events.height == 3, "the create, the change in its batch, and the one that waited"
    assert lands.settled_changes is not None and lands.settled_changes.height == 1
    run.land()
    assert run.row()["metrics_likes"] == 1
    again = run.feed(create(), change("update", 5, metrics={"likes": 1}), change("update", 4, metrics={"likes": 7}))
    assert again.events.height == 0
    assert again.dropped == {"duplicate": 3}, "two known revisions, and one that changes nothing"


def test_the_same_count_three_times_is_three_changes() -> None:
    run = Run()
    run.feed(create())
    for seconds, likes in ((10, 5), (20, 6), (30, 5)):
        assert run.feed(change("update", seconds, metrics={"likes": likes})).events.height == 1
        run.land()
    assert run.row()["metrics_likes"] == 5


def test_nothing_revives_a_deleted_event() -> None:
    run = Run()
    run.feed(create(), change("delete", 5))
    run.land()
    late = run.feed(change("update", 50, text="back"))
    assert (late.events.height, late.dropped) == (0, {"deleted": 1})


def test_a_change_without_event_is_given_up_in_the_end() -> None:
    run = Run()
    run.feed(change("update", 5, text="x"))
    run.land()
    run.now += 8 * 86400
    batch = run.feed()
    assert batch.dropped == {"no base row": 1}
    assert run.completion.waiting == 0


def test_what_the_create_fixed_stays() -> None:
    run = Run()
    run.feed(create(conversation_id="c", direction="outbound", order={"id": "o", "amount": 5.0}))
    run.land()
    whole = {"created_at": at(0), "kind": "post", "text": "t", "metrics": {"likes": 1}, "author": {"id": "a"}}
    run.feed(change("update", 5, **whole))
    run.land()
    row = run.row()
    assert (row["conversation_id"], row["direction"], row["order_amount"]) == ("c", "outbound", 5.0)
    assert (row["text"], row["metrics_likes"], row["author_id"]) == ("t", 1, "a")


def test_what_a_step_fills_is_null_on_a_hot_path_without_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILLED, "words", pl.Int64())
    run = Run()
    for records in ([change("update", 5, text="early")], [create()], [change("update", 9, text="x"), change("delete", 10)]):
        assert run.feed(*records).events.schema["words"] == pl.Int64
        run.land()
    assert run.table.rows.get_column("words").to_list() == [None] * run.table.rows.height != []


def test_an_event_that_another_worker_landed_is_found_later() -> None:
    run, other = Run(), Run()
    run.feed(change("update", 5, metrics={"likes": 2}))
    run.land()
    other.feed(create())
    other.land()
    run.table.insert(other.table.rows)
    assert run.feed().events.height == 0, "not yet: it was looked at a moment ago"
    run.now += 6
    assert run.feed().events.height == 1
    run.land()
    assert run.row()["metrics_likes"] == 2


def test_a_completed_change_is_above_what_is_computed_anew_of_its_base() -> None:
    """Both a rematch and a late change may start from one stored row: their versions differ, and the change wins."""
    run = Run()
    run.feed(create(20))
    run.land()
    base = run.table.rows.row(0, named=True)
    late_batch = run.feed(change("update", 10, metrics={"likes": 5}))
    late = late_batch.events.row(0, named=True)
    assert base["version"] + 1 < late["version"] == base["version"] + events.CHANGE_STEP
    run.table.insert(run.table.rows.with_columns(version=pl.col("version") + 1, brands=pl.lit(["New"])))
    run.completion.landed(late_batch, NONE)
    again = run.feed(change("update", 11, metrics={"likes": 6})).events.row(0, named=True)
    assert (again["version"], again["brands"]) == (late["version"], ["New"])
