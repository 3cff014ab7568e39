"""Dedup: known revisions are duplicates, whatever their bytes look like."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch import EventBatch
from pipeline.processors.dedup import Dedup, RevisionIndex, revisions
from pipeline.processors.keys import KeySet, KeyTable
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas.events import FIELDS
from tests.support.bad_records import GOOD, event

NO_KEYS = np.zeros(0, np.uint64)

NONE = np.zeros(0, dtype=np.uint64)


def known() -> RevisionIndex:
    return RevisionIndex(KeySet(1_000, 1e9))


def through(seen: RevisionIndex, *raw: bytes, batch_id: int = 1) -> EventBatch:
    return Dedup(seen).process(Decode().process(batch_of(list(raw), batch_id=batch_id)))


def test_within_a_batch_the_first_one_stays() -> None:
    batch = through(known(), GOOD, event(text="other"), GOOD)
    assert batch.events.get_column("offset").to_list() == [0, 1]
    assert batch.dropped == {"duplicate": 1}


@pytest.mark.parametrize("landed", [True, False])
def test_pending_and_landed_revisions_are_known(landed: bool) -> None:
    seen = known()
    through(seen, GOOD, batch_id=1)
    if landed:
        seen.landed(batch_of([], batch_id=1), NONE)
    assert through(seen, GOOD, batch_id=2).dropped == {"duplicate": 1}


def test_what_may_not_have_been_told_is_noted_once() -> None:
    seen, raw = known(), (GOOD, event(id="other"), event(id="third"))
    first = through(seen, *raw, batch_id=1)
    assert first.replayed is None
    seen.landed(batch_of([], batch_id=1), NONE)
    seen.mark_unpublished(first.events.get_column("revision").to_numpy()[:2])
    batch = batch_of([*raw, GOOD, event(id="new")], batch_id=2)
    batch.timestamps = np.arange(100, 105)
    batch = Dedup(seen).process(Decode().process(batch))
    assert batch.dropped == {"duplicate": 4} and batch.events.get_column("id").to_list() == ["new"]
    expected = first.events.select("event_key", "revision", "created_at", said_at="created_at")[:2]
    assert batch.replayed is not None
    assert batch.replayed.sort("kafka_ms").equals(expected.with_columns(kafka_ms=pl.Series([100, 101])))
    assert through(seen, *raw, batch_id=3).replayed is None


def test_of_a_change_it_is_noted_when_it_happened() -> None:
    seen = known()
    change = event(operation="update", occurred_at="2026-09-02T00:00:00Z")
    seen.mark_unpublished(through(known(), change).events.get_column("revision").to_numpy())
    seen.stored.add(through(known(), change).events.get_column("revision").to_numpy())
    replayed = through(seen, change).replayed
    assert replayed is not None and replayed.get_column("said_at")[0].day == 2 and replayed.get_column("kafka_ms")[0] is None


def test_of_what_may_not_have_been_told_the_newest_is_remembered() -> None:
    seen, keys = RevisionIndex(KeySet(1_000, 1e9), unpublished_keys=3), np.array([5, 1, 9, 7], np.uint64)
    seen.mark_unpublished(keys)
    seen.mark_unpublished(np.array([2], np.uint64))
    unpublished = seen.take_unpublished(np.array([1, 2, 7], np.uint64))
    assert unpublished is not None and unpublished.tolist() == [True, True, False]
    seen.left(None)
    assert seen.take_unpublished(keys) is None


def test_what_was_given_up_is_read_again() -> None:
    seen = known()
    through(seen, GOOD, batch_id=1)
    seen.left(None)
    assert through(seen, GOOD, batch_id=2).events.height == 1


def test_each_of_many_batches_is_known_until_it_is_given_up() -> None:
    """The keys of all are in one table: it fills, is made anew, and loses what is not on its way any more."""
    seen, numbers = RevisionIndex(KeySet(10**6, 1e9)), range(1, 40)
    keys = {each: np.arange(each * 1_000, each * 1_000 + 500, dtype=np.uint64) for each in numbers}
    for each in numbers:
        seen.start(each, keys[each], keys[each] + 500, NONE)
        if each > 8:
            (seen.given_up if each % 3 else partial(seen.landed, refused=keys[each - 8][:1]))(batch_of([], batch_id=each - 8))
    for each in numbers:
        there = each > 31 or (each + 8) % 3 == 0
        refused = there and each <= 31
        assert seen.known(keys[each]).tolist() == [there and not refused, *[there] * 499], each
        assert (seen.known_events(keys[each] + 500) == there).all(), each
    seen.left(None)
    assert not seen.known(keys[39]).any() and not seen.known_events(keys[39] + 500).any()


@pytest.mark.parametrize(
    "other",
    [GOOD.replace(b",", b" , "), event(unknown=1), event(source={"name": "other"}), event(operation="create")],
    ids=["white space", "an unknown field", "another source", "a default spelled out"],
)
def test_the_same_facts_have_the_same_revision(other: bytes) -> None:
    assert through(known(), GOOD, other).dropped == {"duplicate": 1}


@pytest.mark.parametrize(
    "change",
    [{"text": "ho"}, {"language": "en"}, {"author": {"id": "1", "followers": 6}}, {"mentions": ["a", "b"]}, {"rating": 1.0}],
    ids=lambda change: next(iter(change)),
)
def test_other_facts_have_another_revision(change: dict[str, object]) -> None:
    assert through(known(), GOOD, event(**change)).events.height == 2


def test_a_create_happened_when_its_event_was_created() -> None:
    moments = [event(id="m", created_at=f"2026-09-01T10:0{minute}:00Z") for minute in range(2)]
    assert through(known(), *moments).events.height == 2
    said = event(occurred_at="2026-09-01T10:00:00Z")
    assert through(known(), GOOD, said).dropped == {"duplicate": 1}


def test_what_clickhouse_refused_may_come_again() -> None:
    seen = known()
    batch = through(seen, GOOD, event(id="other"), batch_id=1)
    seen.landed(batch_of([], batch_id=1), batch.events.get_column("revision").to_numpy()[:1])
    assert through(seen, GOOD, event(id="other"), batch_id=2).events.get_column("id").to_list() == ["g"]


def test_fields_can_not_be_confused() -> None:
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"text": "a", "language": "b"}, {"text": "ab"}),
        ({"mentions": ["a", "b"]}, {"mentions": ["a"], "hashtags": ["b"]}),
    ]
    for one, other in pairs:
        assert through(known(), event(**one), event(**other)).events.height == 2


def test_a_revision_is_for_ever() -> None:
    """Stored, and compared across versions: if this fails, every redelivery over an upgrade is taken for new."""
    frame = Decode(clock=lambda: 1_790_000_000.0).process(batch_of([GOOD])).events
    assert frame.get_column("event_key").to_list() == [6563314411258383301]
    assert revisions(frame).to_list() == [3095901619469892853]


CHANGING = [
    "text", "language", "visibility", "author.id", "author.handle", "author.name", "author.kind", "author.followers",
    "author.following", "author.verified", "author.email", "author.phone", "author.url", "author.bio", "mentions", "hashtags",
    "urls", "thread.status", "thread.team", "thread.assignee", "metrics.likes", "metrics.shares", "metrics.replies",
    "metrics.views", "rating", "brands", "location", "author.accounts",
]  # fmt: skip
"""A revision numbers the fields that change in this order, for ever: a new one is the last, and leaves RICH as it is."""
RICH = event(
    text="hi", language="en", visibility="public", mentions=["a", "b"], hashtags=["c"], urls=["https://d.example"],
    author={"id": "1", "handle": "e", "name": "f", "kind": "person", "followers": 5, "following": 6, "verified": True,
            "email": "g@h.example", "phone": "+1 555", "url": "https://i.example", "bio": "j"},
    thread={"status": "open", "team": "k", "assignee": "l"}, metrics={"likes": 1, "shares": 2, "replies": 3, "views": 4},
    rating=2.5, brands=["m"], location="n",
)  # fmt: skip


def test_the_revision_of_a_record_with_each_field_that_changes_is_for_ever() -> None:
    assert [field.path for field in FIELDS if field.group != "fixed"] == CHANGING, "a new field that changes comes last"
    frame = Decode(clock=lambda: 1_790_000_000.0).process(batch_of([RICH])).events
    of_record = frame.select(path.replace(".", "_") for path in CHANGING[: CHANGING.index("location") + 1])
    assert of_record.null_count().sum_horizontal().item() == 0
    assert revisions(frame).to_list() == [11296813493436081575]


def test_a_revision_does_not_depend_on_its_batch() -> None:
    rich = event(id="2", mentions=["a"], metrics={"likes": 3}, location="here", rating=2.5)
    alone = revisions(Decode().process(batch_of([GOOD])).events)[0]
    assert revisions(Decode().process(batch_of([rich, GOOD])).events)[1] == alone


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=400), st.integers(1, 7))
def test_a_table_holds_what_was_added(numbers: list[int], chunk: int) -> None:
    table = KeyTable(len(numbers))
    keys = np.array(numbers, dtype=np.uint64)
    inside = keys[: len(keys) // 2]
    for start in range(0, len(inside), chunk):
        table.add(inside[start : start + chunk])
    assert table.contains(inside).all()
    zero_is_one = np.maximum(keys, np.uint64(1))
    assert (table.contains(keys) == np.isin(zero_is_one, np.maximum(inside, np.uint64(1)))).all()


def test_colliding_keys_are_told_apart() -> None:
    keys = np.arange(1, 600, dtype=np.uint64) << np.uint64(40)  # all of them want slot 0
    table = KeyTable(1_000)
    table.add(keys)
    assert table.contains(keys).all()
    assert not table.contains(keys + np.uint64(1 << 30)).any()


@pytest.mark.slow
def test_a_set_forgets_the_oldest_generation_only() -> None:
    now = [0.0]
    keys = np.random.default_rng(1).integers(1, 2**63, 3_000_000, dtype=np.uint64)
    known = KeySet(limit=1_000_000, seconds=3600, clock=lambda: now[0])
    for start in range(0, len(keys), 500_000):
        known.add(keys[start : start + 500_000])
        now[0] += 1
    assert known.contains(keys[-1_000_000:]).all(), "the newest million is always there"
    assert not known.contains(keys[:100_000]).any()
    now[0] += 7200
    known.add(keys[:10])
    assert known.contains(keys[:10]).all()


def test_a_change_that_waited_and_was_refused_may_come_again_once() -> None:
    seen = RevisionIndex(KeySet(10, 1e9))
    change, other = np.array([7], np.uint64), np.array([8], np.uint64)
    seen.start(1, change, NO_KEYS, NO_KEYS)
    seen.landed(batch_of([], batch_id=1), NO_KEYS)
    seen.start(2, other, NO_KEYS, NO_KEYS)
    seen.landed(batch_of([], batch_id=2), change)
    assert not seen.known(change)[0], "its dead letter is replayed"
    assert seen.known(other)[0]
    seen.start(3, change, NO_KEYS, NO_KEYS)
    assert seen.known(change)[0], "while it is on its way"
    seen.landed(batch_of([], batch_id=3), NO_KEYS)
    assert seen.known(change)[0]


def test_each_key_has_its_date_whatever_grows_and_leaves() -> None:
    keys = np.random.default_rng(3).integers(1, 1 << 63, 12_000, dtype=np.uint64)
    dates = np.arange(1, len(keys) + 1, dtype=np.uint32)
    known = KeySet(8_000, 1e9, dated=True)
    for start in range(0, len(keys), 500):
        known.add(np.repeat(keys[start : start + 500], 2), np.repeat(dates[start : start + 500], 2))
    there = known.contains(keys)
    assert there[-8_000:].all() and not there.all()
    assert (known.dates(keys) == np.where(there, dates, 0)).all()
    known.add(keys[-5:], dates[:5])
    assert (known.dates(keys[-5:]) == dates[-5:]).all(), "the first date stays"
    known.set_dates(keys, dates + np.uint32(7))
    assert (known.dates(keys) == np.where(there, dates + 7, 0)).all() and (known.contains(keys) == there).all()
