"""The contract of BatchMemory, for everything that implements it: each call is idempotent, and unknown batches and partitions
do no harm. State is compared by its effect: the answer to the same question at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import Fence
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, revisions
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.relevance import Relevance
from pipeline.processors.sentiment.deferred import DeferredLabeller
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.sinks.memory import MemoryTable
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import BatchMemory, Step
from tests.support.bad_records import event
from tests.support.hot_path import new_index

pytestmark = pytest.mark.slow

NONE = np.zeros(0, np.uint64)
OURS = {("events", 0)}
CHANGE = event(id="waits", operation="update", occurred_at="2026-09-02T00:00:00Z", text="again")
RECORDS = [event(id="one"), event(id="two"), CHANGE]
ABOUT = [event(id="waits"), event(id="one", operation="update", occurred_at="2026-09-02T00:00:00Z", text="new")]
"""The create that the change waits for, and a change of an event of the batch."""


def through(*steps: Step, raw: list[bytes], number: int) -> EventBatch:
    batch = batch_of(list(raw), batch_id=number)
    for step in (Decode(), *steps):
        batch = step.process(batch)
    return batch


class Subject:
    """A memory with a batch of RECORDS on its way, and a question whose answer shows what it remembers."""

    memory: BatchMemory

    def batch(self, number: int) -> EventBatch:
        raise NotImplementedError

    def store(self, batch: EventBatch) -> None:
        """The rows are in ClickHouse."""

    def answer(self) -> object:
        raise NotImplementedError


class OfDedup(Subject):
    """Which revisions are known?"""

    def __init__(self) -> None:
        self.memory = self._index = new_index()

    def batch(self, number: int) -> EventBatch:
        return through(Dedup(self._index), raw=RECORDS, number=number)

    def answer(self) -> object:
        return self._index.known(revisions(through(raw=RECORDS, number=1).events).to_numpy()).tolist()


class OfRelevance(Subject):
    """Which events are known as dropped?"""

    def __init__(self) -> None:
        self._dropped = KeySet(1_000, 1e9, dated=True)
        self.memory = self._step = Relevance(self._dropped)

    def batch(self, number: int) -> EventBatch:
        steps = Dedup(new_index()), Mentions(Brands(brands=())), Completion(MemoryTable(), 1e9)
        return through(*steps, self._step, raw=RECORDS, number=number)

    def answer(self) -> object:
        return self._dropped.contains(through(raw=RECORDS, number=1).events.get_column("event_key").to_numpy()).tolist()


class OfCompletion(Subject):
    """What becomes of ABOUT?"""

    def __init__(self) -> None:
        self._table = MemoryTable()
        self.memory = self._step = Completion(self._table, 1e9)

    def batch(self, number: int) -> EventBatch:
        return through(Dedup(new_index()), Mentions(Brands(brands=())), self._step, raw=RECORDS, number=number)

    def store(self, batch: EventBatch) -> None:
        self._table.insert(batch.events)

    def answer(self) -> object:
        batch = through(Dedup(new_index()), Mentions(Brands(brands=())), self._step, raw=ABOUT, number=99)
        waits = 0 if batch.waiting is None else batch.waiting.height
        return batch.events.get_column("text").to_list(), waits, dict(batch.dropped), self._step.held.in_memory


class OfIdentity(Subject):
    """Which edges of these authors would be sent?"""

    def __init__(self) -> None:
        self.memory = self._step = Identity(KeyMap())

    def batch(self, number: int) -> EventBatch:
        authors = [{"id": str(n), "email": "ann@example.org", "url": f"https://x.com/ann{n}"} for n in range(3)]
        raw = [event(id=f"{number}-{author['id']}", author=author) for author in authors]
        steps = Dedup(new_index()), Mentions(Brands(brands=())), Completion(MemoryTable(), 1e9)
        return through(*steps, self._step, raw=raw, number=number)

    def answer(self) -> object:
        evidence = self.batch(99).evidence
        assert evidence is not None
        return sorted(evidence.get_column("edge"))


class OfDeferredLabels(Subject):
    """How many rows wait for a label?"""

    def __init__(self) -> None:
        inserter = Inserter(cast(Any, None), Fence(), Vitals(), "labels")
        self.memory = labeller = DeferredLabeller(MemoryLabeller(), inserter, cast(Any, None), "events", lambda _: False)
        labeller.own(OURS)
        metrics.DEFERRED_NOW.set(0)

    def batch(self, number: int) -> EventBatch:
        batch = through(raw=RECORDS, number=number)
        batch.events = batch.events.with_columns(sentiment_status=pl.lit("deferred"))
        return batch

    def answer(self) -> object:
        return metrics.REGISTRY.get_sample_value("earshot_sentiment_deferred_rows")


SUBJECTS: list[type[Subject]] = [OfDedup, OfRelevance, OfCompletion, OfIdentity, OfDeferredLabels]
Act = Callable[[Subject, EventBatch], None]


@pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.__name__)
def make(request: pytest.FixtureRequest) -> type[Subject]:
    subject: type[Subject] = request.param
    return subject


def land(subject: Subject, batch: EventBatch) -> None:
    subject.store(batch)
    subject.memory.landed(batch, NONE)


def land_again(subject: Subject, batch: EventBatch) -> None:
    subject.memory.landed(batch, NONE)


def give_up(subject: Subject, batch: EventBatch) -> None:
    subject.memory.given_up(batch)


def leave(subject: Subject, _: EventBatch) -> None:
    subject.memory.left(set(OURS))


def leave_all(subject: Subject, _: EventBatch) -> None:
    subject.memory.left(None)


def after(make: type[Subject], *acts: Act) -> object:
    subject = make()
    batch = subject.batch(1)
    for act in acts:
        act(subject, batch)
    return subject.answer()


@pytest.mark.parametrize(
    ("act", "again"),
    [(land, land_again), (give_up, give_up), (leave, leave), (leave_all, leave_all)],
    ids=["landed", "given up", "left", "left all"],
)
def test_twice_is_once(make: type[Subject], act: Act, again: Act) -> None:
    assert after(make, act, again) == after(make, act)


@pytest.mark.parametrize("act", [land_again, give_up], ids=["landed", "given up"])
def test_an_unknown_batch_does_no_harm(make: type[Subject], act: Act) -> None:
    stranger = make().batch(77)

    def unknown(subject: Subject, _: EventBatch) -> None:
        act(subject, stranger)

    if make is not OfDeferredLabels or act is give_up:  # it remembers rows from their landing on
        assert after(make, land, unknown) == after(make, land)
        assert after(make, give_up, unknown) == after(make, give_up)


def test_unknown_partitions_do_no_harm(make: type[Subject]) -> None:
    def unknown(subject: Subject, _: EventBatch) -> None:
        subject.memory.left({("events", 5), ("other", 0)})
        subject.memory.left(set())

    assert after(make, unknown) == after(make)
    assert after(make, land, unknown) == after(make, land)


@pytest.mark.parametrize("act", [give_up, leave_all], ids=["given up", "left all"])
def test_of_a_batch_that_never_lands_nothing_stays(make: type[Subject], act: Act) -> None:
    assert after(make, act) == make().answer()


def test_a_landing_is_remembered(make: type[Subject]) -> None:
    assert after(make, land) != make().answer()


def test_a_batch_that_ends_after_all_partitions_left_is_not_remembered(make: type[Subject]) -> None:
    """The insert had returned when the generation ended; the landing agent reports it later."""
    # Deferred labels look into ClickHouse for their own rows; of a dropped event relevance has to know as long as dedup does.
    if make not in (OfDeferredLabels, OfRelevance):
        ended = after(make, leave_all, land_again)
        assert ended == make().answer()
    assert after(make, leave_all, give_up) == make().answer()


def test_a_landed_batch_whose_commit_is_refused_may_be_given_up(make: type[Subject]) -> None:
    after(make, land, give_up)
    after(make, land, give_up, leave_all)


def test_what_clickhouse_refuses_is_not_remembered() -> None:
    subject = OfDedup()
    batch = subject.batch(1)
    refused = batch.events.get_column("revision").to_numpy()[:1]
    subject.memory.landed(batch, refused)
    assert subject.answer() == [False, True, True]
