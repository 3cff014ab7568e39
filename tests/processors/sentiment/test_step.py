"""The sentiment step: which rows it asks for, what time it takes, and that a label stays with its text."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.sentiment.memory import MemoryLabeller, label_of
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from schemas.labels import COLUMNS
from tests.support.hot_path import PathRun, Record

BRANDS = Brands.model_validate(
    {"brands": [{"name": "A", "keywords": ["acme"], "support": [{"platform": "x", "handle": "help"}]}]}
)


class Time:
    """A clock that sleeping moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Run(PathRun):
    """The steps up to the label, over a table in memory; batches land at once."""

    def __init__(self, delay_s: float = 0.0, budget_s: float = 0.15) -> None:
        self.time = Time()
        self.table = MemoryTable()
        self.labeller = MemoryLabeller(delay_s=delay_s, clock=self.time, sleep=self.time.sleep)
        self.step = Sentiment(self.labeller, budget_s, self.time)
        self.behind = False
        super().__init__(MemoryLanding(self.table), Completion(self.table, 1e9), Mentions(BRANDS), [self.step])

    def stamp(self, batch: EventBatch) -> None:
        batch.behind = self.behind

    def label(self, *records: Record, behind: bool = False, pause_s: float = 10.0) -> pl.DataFrame:
        """`pause_s` after the batch before it."""
        self.time.sleep(pause_s)
        self.behind = behind
        batch = self.landed(*records)
        assert not batch.rejected
        return batch.events


def post(number: int = 1, **more: Any) -> dict[str, Any]:
    base = {"id": str(number), "platform": "x", "kind": "post", "created_at": "2026-09-01T10:00:00Z", "text": "acme is it"}
    return base | more


def change(operation: str, second: int, **more: Any) -> dict[str, Any]:
    return {"id": "1", "platform": "x", "operation": operation, "occurred_at": f"2026-09-02T10:00:{second:02d}Z"} | more


def statuses(frame: pl.DataFrame) -> list[str | None]:
    return frame.get_column("sentiment_status").to_list()


def test_what_others_wrote_about_a_brand_is_labelled_and_nothing_else() -> None:
    rows = Run().label(
        post(1),
        post(2, direction="inbound"),
        post(3, direction="outbound"),
        post(4, text="nobody"),
        post(5, text=None, brands=["A"]),
        post(6, text="", brands=["A"]),
        post(7, author={"handle": "help"}),
        post(8, text="acme", language="xx"),
        post(9, text="of the source's own", brands=["B"]),
    )
    assert statuses(rows) == ["labelled", "labelled", None, None, None, None, None, "unknown", "labelled"]
    labelled = rows.filter(pl.col("sentiment_status") == "labelled")
    assert labelled.get_column("sentiment_label").to_list() == [label_of(text) for text in labelled.get_column("text")]
    assert labelled.get_column("sentiment_model").unique().to_list() == ["memory@1"]
    blank = rows.filter(pl.col("sentiment_status").is_null()).select(*COLUMNS)
    assert blank.null_count().row(0) == (blank.height,) * len(COLUMNS)
    assert rows.select(*COLUMNS).schema == pl.Schema(COLUMNS)


def test_nothing_to_label_is_fine_too() -> None:
    run = Run()
    for rows in (run.label(), run.label(post(1, text="nobody"))):
        assert rows.select(*COLUMNS).schema == pl.Schema(COLUMNS)
    assert run.labeller.asked == 0


def test_what_does_not_fit_into_the_budget_is_deferred() -> None:
    run = Run(delay_s=0.04, budget_s=0.1)
    rows = run.label(*(post(n) for n in range(5)))
    assert statuses(rows) == ["labelled"] * 3 + ["deferred"] * 2
    deferred = rows.filter(pl.col("sentiment_status") == "deferred")
    assert deferred.get_column("sentiment_label").null_count() == deferred.get_column("sentiment_model").null_count() == 2


@pytest.mark.parametrize(
    ("behind", "pause_s", "labelled"),
    [(True, 0.0, 0), (True, 0.5, 2), (True, 60.0, 4), (False, 0.0, 0), (False, 0.3, 3), (False, 60.0, 4)],
)
def test_batches_that_follow_one_another_get_a_share_of_the_time(behind: bool, pause_s: float, labelled: int) -> None:
    run = Run(delay_s=0.04)
    assert statuses(run.label(*(post(n) for n in range(9)), behind=behind)).count("labelled") == (0 if behind else 4)
    run.time.now = 100.0 + 10.0  # when the first batch came
    assert statuses(run.label(*(post(n) for n in range(10, 19)), behind=behind, pause_s=pause_s)).count("labelled") == labelled


def test_there_is_time_for_what_was_deferred_when_no_batch_was_too_much() -> None:
    run = Run(delay_s=0.04)
    assert run.step.spare(False)
    run.label(post(1))
    assert run.step.spare(False)
    for start, behind in ((10, True), (20, False)):
        run.label(*(post(start + n) for n in range(9)), behind=behind)
        assert not run.step.spare(False)
        assert run.step.spare(True) is not behind
        run.time.sleep(1.1)
        assert run.step.spare(False)


def test_new_counts_keep_the_label_and_new_text_gets_another() -> None:
    run = Run()
    (first,) = run.label(post()).select(*COLUMNS).rows()
    assert run.label(change("update", 1, metrics={"likes": 5})).select(*COLUMNS).rows() == [first]
    assert run.labeller.asked == 1
    rows = run.label(change("update", 2, text="acme, longer by some"))
    assert rows.get_column("sentiment_label").to_list() == [label_of("acme, longer by some")]
    assert run.labeller.asked == 2
    run.label(change("delete", 3))
    assert set(run.table.final().select(*COLUMNS).row(0)) == {None}


def test_a_stored_label_of_another_model_is_not_kept() -> None:
    run = Run()
    run.label(post())
    other = MemoryLabeller("memory@2")
    run.path.steps[-1] = Sentiment(other, 1.0)
    rows = run.label(change("update", 1, metrics={"likes": 5}))
    assert rows.get_column("sentiment_model").to_list() == ["memory@2"]


def test_a_deferred_row_is_asked_for_again_with_its_next_change() -> None:
    run = Run(budget_s=-1.0)
    assert statuses(run.label(post())) == ["deferred"]
    run.path.steps[-1] = Sentiment(run.labeller, 1.0, run.time)
    assert statuses(run.label(change("update", 1, metrics={"likes": 5}))) == ["labelled"]


def test_a_label_keeps_every_row_in_its_place() -> None:
    texts = ["acme" + "!" * n if n % 3 else "nobody" for n in range(100)]
    rows = Run().label(*(post(n, text=text) for n, text in enumerate(texts)))
    wanted = [label_of(text) if "acme" in text else None for text in texts]
    assert rows.get_column("sentiment_label").to_list() == wanted
