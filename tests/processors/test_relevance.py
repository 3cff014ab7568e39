"""What becomes of events that mention no brand, and of their changes, when they are not to land (keep_irrelevant = false)."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors.completion import Completion
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.relevance import EVENT_IRRELEVANT, IRRELEVANT, Relevance
from pipeline.processors.waiting_table import Bounds
from pipeline.sinks.memory import MemoryLanding, MemoryPending, MemoryTable
from tests.support.hot_path import PathRun, Record

BRANDS = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme"]}]})
BOUNDS = Bounds(in_memory=10)
NOW = 1_790_000_000.0
WHOLE = {"created_at": "2026-09-21T14:00:00Z", "kind": "post"}


def create(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "text": text, "author": {"id": "a"}, **WHOLE} | more


def change(second: int, operation: str = "update", **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "operation": operation, "occurred_at": f"2026-09-21T14:01:{second:02d}Z"} | more


LIKES = change(1, metrics={"likes": 3})
EDIT = change(2, text="my acme kettle exploded")
DELETE = change(9, "delete")


class MinuteTable(MemoryTable):
    """Finds an event of which it is told a created_at in that minute only, as ClickHouse does; counts the searches without."""

    searches = 0

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        self.searches += keys.get_column("created_at").null_count() > 0
        if not self.rows.width:
            return self.rows
        minute = pl.col("created_at").dt.truncate("1m")
        found = self.final().join(keys.select("event_key", asked=minute), on="event_key")
        return found.filter(pl.col("asked").is_null() | (pl.col("asked") == minute)).drop("asked")


class Run(PathRun):
    """The steps of a worker that drops what is irrelevant, over tables in memory; batches land when the test says so."""

    def __init__(self, table: MinuteTable | None = None, pending: MemoryPending | None = None, bounds: Bounds = BOUNDS) -> None:
        self.now = NOW
        self.table, self.pending = table or MinuteTable(), pending or MemoryPending()
        dropped = KeySet(1_000, 1e9, dated=True)
        completion = Completion(self.table, 7 * 86400, self.pending, bounds, dropped, lambda: self.now)
        landing = MemoryLanding(self.table, self.pending)
        super().__init__(landing, completion, Mentions(BRANDS), relevance=Relevance(dropped), clock=lambda: self.now)

    def feed(self, *records: Record) -> EventBatch:
        batch = super().feed(*records)
        assert not batch.rejected
        return batch

    def restarted(self) -> Run:
        other = Run(self.table, self.pending)
        if self.pending.rows.width:
            other.completion.held.load(self.pending.waiting(10), {("events", 0)})
        return other

    @property
    def text(self) -> str | None:
        (row,) = self.table.final().iter_rows(named=True)
        text: str | None = row["text"]
        return text


def outcome(batch: EventBatch) -> tuple[int, int, dict[str, int]]:
    """Rows that land, changes that wait, and what was dropped."""
    return batch.events.height, 0 if batch.waiting is None else batch.waiting.height, dict(batch.dropped)


def test_changes_of_an_event_that_was_dropped_do_not_wait() -> None:
    run = Run()
    assert outcome(run.landed(create())) == (0, 0, {IRRELEVANT: 1})
    assert outcome(run.landed(LIKES)) == (0, 0, {IRRELEVANT: 1})
    assert outcome(run.landed(EDIT)) == (0, 0, {EVENT_IRRELEVANT: 1}), "nobody knows any more when it was created"
    assert outcome(run.landed(DELETE)) == (0, 0, {IRRELEVANT: 1})
    assert not run.completion.waiting and not run.table.rows.height and not run.pending.rows.height


def test_a_batch_that_lands_as_all_partitions_leave_is_remembered() -> None:
    """The thread that lands may be at it when the thread that polls says that they left."""
    run = Run()
    batch = run.feed(create())
    run.path.leave(None)
    run.land(batch)
    assert outcome(run.landed(EDIT)) == (0, 0, {EVENT_IRRELEVANT: 1})


def test_an_edit_that_says_all_that_a_create_says_brings_its_event_in() -> None:
    run = Run()
    run.landed(create())
    batch = run.landed(change(1, metrics={"likes": 1}), EDIT | WHOLE | {"conversation_id": "c"})
    assert outcome(batch) == (2, 0, {}), "and what came beside it is a change of an event that is there"
    assert outcome(run.landed(change(5, metrics={"likes": 7}))) == (1, 0, {})
    (row,) = run.table.final().iter_rows(named=True)
    assert (row["text"], row["metrics_likes"], row["kind"], row["conversation_id"]) == (EDIT["text"], 7, "post", "c")
    assert f"{row['created_at']:%H:%M}" == "14:00"
    assert outcome(run.landed(DELETE)) == (1, 0, {})


@pytest.mark.parametrize("in_flight", [True, False])
def test_while_its_create_is_on_its_way_an_edit_lands_whole(in_flight: bool) -> None:
    run = Run()
    batch = (run.feed(create()), run.feed(EDIT))[1] if in_flight else run.feed(create(), EDIT)
    assert batch.events.height == 1 and batch.events.get_column("author_id").to_list() == ["a"]
    run.land()
    assert outcome(run.landed(LIKES)) == (1, 0, {}), "its create was dropped, and it has a row all the same"


def test_what_waits_ends_as_irrelevant_with_its_create() -> None:
    run = Run()
    assert outcome(run.landed(LIKES)) == (0, 1, {})
    assert run.pending.rows.height == 1
    assert outcome(run.landed(create())) == (0, 0, {IRRELEVANT: 2})
    assert not run.completion.waiting and not run.pending.rows.height


def test_an_edit_that_waits_for_an_irrelevant_create_lands_whole() -> None:
    run = Run()
    run.landed(EDIT)
    batch = run.landed(create())
    assert outcome(batch) == (1, 0, {IRRELEVANT: 1}) and run.text == EDIT["text"]
    assert not run.pending.rows.height


@pytest.mark.parametrize("in_memory", [10, 100])
def test_an_edit_is_no_less_whole_for_coming_after_many_other_changes(in_memory: int) -> None:
    run = Run(bounds=Bounds(in_memory, look_at_once=5, come_at_once=5))
    run.landed(*(change(second, metrics={"likes": second}) for second in range(10, 50)))
    run.landed(EDIT)
    run.completion.held.load(run.pending.waiting(0), {("events", 0)})
    batches = [run.landed(create()), *(run.landed() for _ in range(10))]
    assert max(batch.events.height + batch.dropped[IRRELEVANT] for batch in batches) <= 1 + 4 * 5
    assert not sum(batch.dropped[EVENT_IRRELEVANT] for batch in batches)
    assert run.text == EDIT["text"] and run.table.final().get_column("author_id").to_list() == ["a"]
    assert not run.pending.rows.height


def test_another_worker_lets_changes_wait_until_the_create_is_read_again() -> None:
    run = Run()
    run.landed(create())
    other = run.restarted()
    assert outcome(other.landed(LIKES)) == (0, 1, {})
    again = other.restarted()
    assert outcome(again.landed(create())) == (0, 0, {IRRELEVANT: 2}), "a replay: the create, and what waits for it"
    assert outcome(again.landed(DELETE)) == (0, 0, {IRRELEVANT: 1})
    assert not again.completion.waiting and not again.pending.rows.height


def test_what_waits_of_a_partition_that_comes_back_ends_when_it_is_looked_at() -> None:
    run = Run()
    run.landed(create())
    other = run.restarted()
    other.landed(LIKES)
    run.completion.held.load(run.pending.waiting(10), {("events", 0)})
    assert outcome(run.landed()) == (0, 0, {IRRELEVANT: 1})
    assert not run.completion.waiting and not run.pending.rows.height


def test_a_create_that_was_given_up_is_not_known_as_dropped() -> None:
    run = Run()
    run.feed(create())
    run.give_up()
    assert outcome(run.landed(LIKES)) == (0, 1, {}), "it is read again, maybe with other brands"
    assert outcome(run.landed(create())) == (0, 0, {IRRELEVANT: 2})


def test_an_event_that_has_landed_is_kept_up_to_date_whatever_its_edits_mention() -> None:
    run = Run()
    run.landed(create("acme is fine"))
    assert outcome(run.landed(change(1, text="never mind"))) == (1, 0, {})
    assert run.text == "never mind"
    assert outcome(run.landed(change(2, metrics={"likes": 5}))) == (1, 0, {})
    assert outcome(run.landed(DELETE)) == (1, 0, {})


def test_also_while_it_is_on_its_way() -> None:
    run = Run()
    run.feed(create("acme is fine"))
    assert outcome(run.feed(change(1, text="never mind"))) == (1, 0, {})
    run.land()
    assert run.text == "never mind"


def test_a_second_create_that_mentions_none_keeps_an_event_that_has_landed_up_to_date() -> None:
    run = Run()
    run.landed(create("acme is fine"))
    assert outcome(run.landed(create("another text"))) == (1, 0, {})
    assert run.text == "another text"
    assert outcome(run.landed(LIKES)) == (1, 0, {})


def test_changes_of_an_event_that_was_dropped_are_not_searched_in_the_whole_table() -> None:
    run = Run()
    run.landed(*(create(id=str(number)) for number in range(5)))
    for number in range(5):
        assert outcome(run.landed(LIKES | {"id": str(number)})) == (0, 0, {IRRELEVANT: 1})
    assert run.table.searches == 0
    run.landed(create("acme again"))
    assert outcome(run.landed(change(5, metrics={"likes": 7}))) == (1, 0, {}), "it has landed after all"
    assert run.table.searches == 0


@pytest.mark.parametrize("first", [EDIT | WHOLE, create("acme again")])
def test_one_that_lands_with_another_time_after_all_is_found_there(first: dict[str, Any]) -> None:
    run = Run()
    run.landed(create())
    run.landed(first | {"created_at": "2026-09-20T10:00:00Z"})
    assert outcome(run.landed(LIKES)) == (1, 0, {}) and run.table.searches == 0
