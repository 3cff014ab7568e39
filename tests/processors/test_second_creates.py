"""An event is one row: a second create is an update, a redelivery adds nothing, a delete is final."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors.completion import Completion
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.relevance import Relevance
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from tests.support.hot_path import PathRun, Record, new_index

START_MS = 1_790_000_000_000
"""Kafka's time of the first record, 2026-09-21T14:13:20Z; each record comes a second after the one before."""
BRANDS = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme"]}]})


class Worker(PathRun):
    """Workers of one partition, one after the other, over a table in memory."""

    def __init__(self, keep_irrelevant: bool = True) -> None:
        self.table = MemoryTable()
        dropped = None if keep_irrelevant else KeySet(1_000, 1e9, dated=True)
        completion = Completion(self.table, 1e9, dropped=dropped)
        relevance = None if dropped is None else Relevance(dropped)
        super().__init__(MemoryLanding(self.table), completion, Mentions(BRANDS), relevance=relevance)

    def stamp(self, batch: EventBatch) -> None:
        batch.timestamps = START_MS + 1_000 * np.arange(self.offset - batch.read, self.offset)

    def say(self, *records: Record) -> EventBatch:
        """The records come, and land."""
        return self.landed(*records)

    def restart(self, merged: bool = True) -> None:
        """The next worker; merges have left the newest version of each event."""
        if merged:
            self.table.rows = self.table.final()
        self.path.leave(None)
        self.use(new_index())
        self.index.seed(*(self.table.rows.get_column(name).to_numpy() for name in ("revision", "event_key")))

    def row(self) -> dict[str, Any]:
        """The event as it stands."""
        rows = self.table.final()
        assert rows.height == 1 and self.table.rows.select("created_at").n_unique() == 1
        return rows.row(0, named=True)


def post(likes: int | None = None, **more: Any) -> dict[str, Any]:
    metrics = {} if likes is None else {"metrics": {"likes": likes}}
    return {"id": "1", "platform": "x", "kind": "post", "created_at": "2026-09-01T10:00:00Z", "text": "acme"} | metrics | more


def change(operation: str, at: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "operation": operation, "occurred_at": at} | more


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch each"])
def test_the_counts_of_a_poller_without_operation_are_updates(together: bool) -> None:
    run = Worker()
    rounds = [post(5), post(6), post(9), post(7)]
    notes = [batch.notes for batch in ([run.say(*rounds)] if together else [run.say(each) for each in rounds])]
    row = run.row()
    assert (row["metrics_likes"], row["operation"], row["created_at"].day) == (7, "update", 1)
    assert row["metrics_at"].timestamp() * 1_000 == START_MS + 3_000, "without occurred_at it counts from Kafka's time"
    assert sum(each["second_create"] for each in notes) == 3


@pytest.mark.parametrize("restart", [True, False])
def test_a_create_that_says_no_more_than_an_earlier_one_is_a_redelivery(restart: bool) -> None:
    run = Worker()
    run.say(post(5))
    run.say(post(6))
    if restart:
        run.restart()
    again = run.say(post(5), post(6, created_at="2026-09-01T08:00:00Z"))
    assert (again.events.height, again.dropped) == (0, {"duplicate": 2})
    assert run.row()["metrics_likes"] == 6


def test_with_a_time_each_create_counts_from_it_whatever_the_order() -> None:
    rounds = [post(likes, occurred_at=f"2026-09-01T1{hour}:00:00Z") for hour, likes in enumerate((5, 6, 5))]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        run = Worker()
        for place in order:
            run.say(rounds[place])
        assert (run.row()["metrics_likes"], run.row()["metrics_at"].hour) == (5, 12)


def test_the_time_of_the_first_create_counts_too() -> None:
    run = Worker()
    run.say(post(6, occurred_at="2026-09-01T12:00:00Z"))
    run.say(change("update", "2026-09-01T11:00:00Z", metrics={"likes": 4}))
    assert run.row()["metrics_likes"] == 6
    assert run.say(post(6)).dropped == {"duplicate": 1}, "without a time it says no more"


def test_the_cases_folder_other_created_at() -> None:
    """Two creates of one review under two times, then its delete."""
    review = {"id": "r1", "platform": "t.rev", "kind": "review"}
    run = Worker()
    run.say(review | {"created_at": "2026-09-20T10:00:00Z", "text": "Acme is slow", "rating": 2})
    run.say(review | {"created_at": "2026-09-21T09:00:00Z", "text": "Acme is slow, edited", "rating": 1})
    row = run.row()
    assert (row["text"], row["rating"], row["created_at"].day, row["other_created_at"].day) == (
        "Acme is slow, edited",
        1,
        20,
        21,
    )
    run.say({"id": "r1", "platform": "t.rev", "operation": "delete", "occurred_at": "2026-09-22T10:00:00Z"})
    assert run.row()["is_deleted"] == 1 and run.row()["text"] is None


@pytest.mark.parametrize("restart", [True, False])
def test_a_delete_is_final_whatever_created_at_a_later_create_carries(restart: bool) -> None:
    run = Worker()
    run.say(post(5))
    run.say(change("delete", "2026-09-02T10:00:00Z", created_at="2026-09-01T07:00:00Z"))
    if restart:
        run.restart()
    late = run.say(
        post(9), post(8, created_at="2026-09-01T08:00:00Z"), post(7, occurred_at="2026-09-03T10:00:00Z"),
        change("update", "2026-09-04T10:00:00Z", text="back"),
    )  # fmt: skip
    assert (late.events.height, late.dropped) == (0, {"deleted": 4})
    assert run.row()["is_deleted"] == 1


def test_a_second_create_leaves_what_it_does_not_carry() -> None:
    run = Worker()
    run.say(post(5, author={"id": "a"}, conversation_id="c"))
    run.say({name: value for name, value in post(text=None, author={"id": "b"}).items() if value is not None})
    row = run.row()
    assert (row["text"], row["metrics_likes"], row["author_id"], row["conversation_id"]) == ("acme", 5, "b", "c")
    assert row["brands"] == ["Acme"]


def test_a_first_create_that_is_read_again_after_a_merge_changes_nothing() -> None:
    """Its revision is forgotten, and Kafka's time of its record is later than the update's."""
    run = Worker()
    run.say(post(5))
    run.say(change("update", "2026-09-01T11:00:00Z", metrics={"likes": 6}))
    run.restart()
    run.offset = 0
    assert run.say(post(5)).dropped == {"duplicate": 1}
    assert run.row()["metrics_likes"] == 6


def test_a_known_event_without_a_row_is_created_again() -> None:
    """ClickHouse refused its create."""
    run = Worker()
    first = run.feed(post(5))
    run.index.landed(first, np.zeros(0, np.uint64))
    run.completion.landed(first, np.zeros(0, np.uint64))
    run.flying.clear()
    run.say(post(6), post(7))
    row = run.row()
    assert row["metrics_likes"] == 7
    assert run.table.rows.get_column("operation").to_list() == ["create", "update"]


def test_a_second_create_that_mentions_a_brand_brings_a_dropped_event_in() -> None:
    run = Worker(keep_irrelevant=False)
    assert run.say(post(5, text="nothing")).dropped == {"irrelevant": 1}
    assert run.say(post(6, text="nothing")).dropped == {"irrelevant": 1}
    run.say(post(7))
    assert (run.row()["metrics_likes"], run.row()["brands"]) == (7, ["Acme"])
    run.say(post(8, text="nothing again"))
    assert (run.row()["metrics_likes"], run.row()["brands"]) == (8, [])


def test_a_waiting_change_and_two_creates_of_its_event() -> None:
    run = Worker()
    run.say(change("update", "2026-09-01T11:00:00Z", metrics={"likes": 4}))
    run.say(post(5), post(6))
    assert run.row()["metrics_likes"] == 6
    assert run.completion.waiting == 0


def test_events_are_known_as_long_as_their_newest_revision() -> None:
    run = Worker()
    run.use(new_index())
    run.say(post(0))
    key = run.table.rows.get_column("event_key").to_numpy()
    for number in range(1, 7):
        run.say(*({**post(), "id": f"other {number} {each}"} for each in range(700)), post(number))
    assert run.index.events.contains(key).all(), "each round renewed it"
    assert run.table.final().filter(pl.col("id") == "1").get_column("metrics_likes").to_list() == [6]
