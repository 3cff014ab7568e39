"""The contract of a step, for every step: each row has one outcome, what stays keeps its place, nothing raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from pipeline import app, migrate
from pipeline.batch import EventBatch
from pipeline.clickhouse import fingerprints
from pipeline.config.settings import Settings
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.processors.relevance import Relevance
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.memory import MemoryTable
from pipeline.sources.decode import Decode, event_keys
from pipeline.sources.memory import batch_of
from pipeline.step import Step
from pipeline.worker import connections
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.identity import account_key
from tests.support.bad_records import BAD, GOOD, ODD, event

BRANDS = Brands.model_validate({"brands": [{"name": "A", "keywords": ["hi"]}]})
RULES = Alerts.model_validate(
    {
        "rules": [
            {"name": "word", "type": "keyword", "words": {"any": ["again"]}},
            {"name": "reach", "type": "reach", "followers": 1, "negative": False},
        ]
    }
)


def privacy() -> Step:
    """It knows somebody who was erased."""
    step = Pseudonymise(b"key", "", DEFAULT)
    gone = pl.DataFrame({"platform": ["x"], "id": ["never seen"]})
    step.suppressed.put(Keys([account_key("x", "erased")], ["ab"], event_keys(gone).to_list()))
    return step


CHAIN: list[Callable[[], Step]] = [
    Decode,
    privacy,
    lambda: Dedup(RevisionIndex(KeySet(1_000, 1e9))),
    lambda: Mentions(BRANDS, words_of(RULES)),
    lambda: Completion(MemoryTable(), waiting_s=1e9),
    lambda: Sentiment(MemoryLabeller(), budget_s=1.0),
    lambda: Relevance(KeySet(1_000, 1e9, dated=True)),
    lambda: Identity(KeyMap()),
    lambda: SingleEvent(RULES, Mentions(BRANDS, words_of(RULES)).words_in),
]
NAMES = [make().name for make in CHAIN]
MIXED: list[bytes | None] = [
    GOOD,
    *(raw for raw, _ in BAD.values()),
    *(ODD[name] for name in ODD),
    GOOD,
    event(id="2", text="nothing of interest"),
    event(operation="update", occurred_at="2026-09-02T00:00:00Z", text="hi again"),
    event(operation="delete", occurred_at="2026-09-03T00:00:00Z", id="2"),
    event(operation="delete", occurred_at="2026-09-03T00:00:00Z", id="never seen"),
    event(operation="delete", occurred_at="2026-09-03T00:00:00Z", id="never seen, too"),
]


def before(place: int, raw: list[bytes | None]) -> EventBatch:
    batch = batch_of(raw)
    for make in CHAIN[:place]:
        batch = make().process(batch)
    return batch


def accounted(batch: EventBatch) -> int:
    waiting = 0 if batch.waiting is None else batch.waiting.height
    return batch.events.height + len(batch.rejected) + sum(batch.dropped.values()) + waiting


@pytest.mark.parametrize("place", range(len(CHAIN)), ids=NAMES)
@pytest.mark.parametrize("raw", [MIXED, [GOOD], [None, b"", b"x"], []], ids=["mixed", "one", "all bad", "empty"])
def test_each_row_has_one_outcome(place: int, raw: list[bytes | None]) -> None:
    batch = CHAIN[place]().process(before(place, raw))
    assert accounted(batch) == len(raw)


@pytest.mark.parametrize("place", range(len(CHAIN)), ids=NAMES)
def test_what_stays_keeps_its_place(place: int) -> None:
    batch = CHAIN[place]().process(before(place, MIXED))
    rows = batch.events.select("row", "offset").drop_nulls()
    assert rows.height > 3
    assert (rows.get_column("row") == rows.get_column("offset")).all(), "row i is record i is offset i here"
    assert rows.get_column("offset").n_unique() == rows.height


@pytest.mark.parametrize("place", range(len(CHAIN)), ids=NAMES)
def test_what_leaves_says_why(place: int) -> None:
    batch = CHAIN[place]().process(before(place, MIXED))
    assert all(letter.reason and letter.step in NAMES for letter in batch.rejected)
    assert all(batch.dropped)


def test_the_worker_has_these_steps_in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate(
        {"privacy": {"hash_key": "key", "data_key": "5" * 64}, "worker": {"keep_irrelevant": False}}
    )
    made: list[Step] = []

    class MadeError(Exception):
        pass

    def keep(steps: Sequence[Step], *_: object) -> None:
        made.extend(steps)
        raise MadeError

    monkeypatch.setattr(app, "HotPath", keep)
    monkeypatch.setattr(migrate, "check", lambda _: None)
    monkeypatch.setattr(fingerprints, "check_keys", lambda *_: None)
    monkeypatch.setattr(connections, "clickhouse_client", lambda *_: None)
    with pytest.raises(MadeError):
        app.Worker(settings, MemoryLabeller())
    assert [step.name for step in made] == NAMES


def test_names_are_distinct() -> None:
    assert len(set(NAMES)) == len(NAMES)
