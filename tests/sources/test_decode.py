"""Decode: row i is record i, whatever its neighbours are."""

from __future__ import annotations

import itertools

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch import EventBatch
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas import events
from tests.support.bad_records import BAD, EVENT, GOOD, ODD, event

FIRST = 100


def decode(*raw: bytes | None) -> EventBatch:
    return Decode(clock=lambda: 1_790_000_000.0).process(batch_of(list(raw), first_offset=FIRST))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_a_dead_letter_with_reason_and_origin(name: str) -> None:
    raw, reason = BAD[name]
    batch = decode(GOOD, raw, GOOD)
    (letter,) = batch.rejected
    assert (letter.step, letter.topic, letter.partition, letter.offset) == ("decode", "events", 0, FIRST + 1)
    assert letter.raw == (raw or b"")
    assert letter.reason
    assert reason in letter.reason
    assert batch.events.get_column("offset").to_list() == [FIRST, FIRST + 2]
    assert batch.events.get_column("id").to_list() == ["g", "g"]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_record_is_an_event(name: str) -> None:
    batch = decode(GOOD, ODD[name], GOOD)
    assert not batch.rejected
    assert batch.events.get_column("id").to_list() == ["g", "g", "g"]


@pytest.mark.slow
def test_every_pair_of_bad_records_in_one_batch() -> None:
    """Two bad records may cancel out in a count of rows (one that gives none, one that gives two): positions must not move."""
    marked = [event(id=f"good-{place}") for place in range(3)]
    for (one, (first, _)), (other, (second, _)) in itertools.product(BAD.items(), BAD.items()):
        batch = decode(marked[0], first, marked[1], second, marked[2])
        kept = batch.events.select("offset", "id").rows()
        assert kept == [(FIRST, "good-0"), (FIRST + 2, "good-1"), (FIRST + 4, "good-2")], (one, other)
        assert [letter.offset for letter in batch.rejected] in ([101, 103], [103, 101]), (one, other)


def test_records_that_could_join_stay_apart() -> None:
    """An object cut off goes on in the next record, two objects in one make up for the missing row: as many rows as records."""
    head, tail = GOOD[:-1] + b',"order":', b'{"id":"u"}}'
    first, second = event(id="first"), event(id="second")
    batch = decode(head, tail, first, second, GOOD + GOOD)
    assert batch.events.select("offset", "id").rows() == [(FIRST + 2, "first"), (FIRST + 3, "second")]
    assert [letter.offset for letter in batch.rejected] == [FIRST, FIRST + 1, FIRST + 4]


def test_one_bad_record_in_ten_thousand() -> None:
    raw: list[bytes | None] = [event(id=str(place)) for place in range(10_000)]
    raw[6_789] = b'{"id": '
    batch = decode(*raw)
    assert [letter.offset for letter in batch.rejected] == [FIRST + 6_789]
    expected = [place for place in range(10_000) if place != 6_789]
    assert batch.events.get_column("id").cast(pl.Int64).to_list() == expected
    assert (batch.events.get_column("offset") - FIRST).to_list() == expected


def test_eleven_megabytes() -> None:
    batch = decode(GOOD, event(text="x" * 11_000_000), GOOD)
    assert batch.events.get_column("text").str.len_bytes().to_list() == [2, 11_000_000, 2]


def test_unknown_fields_are_counted() -> None:
    batch = decode(GOOD, event(zz=1), event(author={"id": "1", "shoe_size": 44}), b'{"broken')
    assert batch.notes == {"unknown_field": 2}


def test_values_arrive_in_their_columns() -> None:
    batch = decode(event(metrics={"likes": 3}, mentions=["@a"], rating=4.5, order={"id": "o", "amount": 9.5}))
    row = batch.events.row(0, named=True)
    assert (row["metrics_likes"], row["mentions"], row["rating"], row["order_amount"]) == (3, ["@a"], 4.5, 9.5)
    assert row["created_at"].isoformat() == "2026-09-01T10:00:00+00:00"
    assert row["operation"] == "create"
    assert set(row) == {f.column for f in events.FIELDS} | {"row", "topic", "partition", "offset", "event_key"}


def test_an_entry_that_names_no_account_is_left_out_and_counted() -> None:
    accounts = ["facebook:15", "bluesky:did:plc:x", "mastodon:@ann@toot.example", "crm:C 9", "crm:C-9"]
    broken = ["", "15", "Facebook:15", ":15", "vk:", "vk:@", "vk: 15", "https://x.com/ann", "vk:" + "1" * 998, "vk:@@ann", None]
    batch = decode(event(author={"id": "7", "accounts": accounts + broken}), GOOD, event(author={"accounts": ["vk"]}))
    assert not batch.rejected
    assert batch.events.get_column("author_accounts").to_list() == [[each for each in accounts if " " not in each], None, []]
    assert batch.notes == {"broken_account": 12}
    assert decode(event(author={"accounts": []}), event(author={"accounts": None})).notes == {}


def test_an_empty_batch() -> None:
    batch = decode()
    assert batch.events.height == 0
    assert {f.column for f in events.FIELDS} <= set(batch.events.columns)


TOKENS = [b"null", b"{}", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"NaN", b"\n", b"\r", b"\x00", b"\xff"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    record = bytearray(draw(st.sampled_from([GOOD, *ODD.values()][:9])))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(record)))
        if draw(st.booleans()):
            record[place:place] = draw(st.sampled_from(TOKENS))
        else:
            del record[place : place + draw(st.integers(1, 9))]
    return bytes(record)


@settings(max_examples=300, deadline=None)
@given(st.lists(mutated(), max_size=6))
@pytest.mark.slow
def test_a_batch_decodes_as_its_records_do_alone(records: list[bytes]) -> None:
    together = decode(*records)
    kept = together.events.get_column("offset").to_list()
    assert sorted(kept + [letter.offset for letter in together.rejected]) == list(range(FIRST, FIRST + len(records)))
    for place, record in enumerate(records):
        alone = decode(record)
        assert alone.events.height == (FIRST + place in kept), record
        if alone.events.height:
            same = together.events.filter(pl.col("offset") == FIRST + place).drop("offset", "row")
            assert same.equals(alone.events.drop("offset", "row")), record


RARE = [
    event(author={}), event(author={"id": None}), event(author={"name": "n", "verified": True}), event(author=None),
    event(order=None), event(order={}), event(order={"amount": 2}), event(order={"amount": "2"}), event(order={"sum": 2}),
    event(thread={"team": "t"}, measure={"name": "m", "value": 1.5}), event(metrics={"likes": 1.0}), event(rating=None),
    event(hashtags=[]), event(hashtags=["h", None]), event(location=7), event(conversation_id="c", in_reply_to=None),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([GOOD, *RARE, *ODD.values(), *(raw for raw, _ in BAD.values())]), max_size=4), max_size=6)
)
@pytest.mark.slow
def test_what_was_decoded_before_does_not_matter(batches: list[list[bytes | None]]) -> None:
    """It learns which fields a stream uses, whether they are null, empty, wrong or only in records that are refused."""
    step = Decode(clock=lambda: 1_790_000_000.0)
    for raw in batches:
        after, fresh = step.process(batch_of(list(raw), first_offset=FIRST)), decode(*raw)
        assert after.events.equals(fresh.events)
        assert (after.rejected, after.notes) == (fresh.rejected, fresh.notes)


@st.composite
def times(draw: st.DrawFn) -> str:
    """Times of RFC 3339 and its neighbourhood, most of them in the form that Arrow reads."""
    date = draw(st.sampled_from(["2026-09-01", "2024-02-29", "2025-02-29", "1969-12-31", "2026-9-01", "+2026-09-01"]))
    time = draw(st.sampled_from(["10:00:00", "23:59:59", "23:59:60", "24:00:00", "10:00", "10:00:0", "1:00:00"]))
    digits = draw(st.text("0159", max_size=10))
    fraction = draw(st.sampled_from([f".{digits}", ""]))
    zone = draw(st.sampled_from(["Z", "Z", "Z", "ZZ", " Z", "z", "+00:00Z", "+05:30", "-0800", ""]))
    return date + draw(st.sampled_from(["T", "T", "t", " ", "_"])) + time + fraction + zone


@settings(max_examples=300, deadline=None)
@given(times())
@pytest.mark.slow
def test_a_time_is_the_same_beside_one_in_another_form(time: str) -> None:
    record = event(created_at=time)
    alone, beside = decode(record), decode(record, event(created_at="2026-09-01 10:00:00+02:00"))
    assert [letter.reason for letter in beside.rejected] == [letter.reason for letter in alone.rejected]
    assert beside.events[: alone.events.height].equals(alone.events)


def test_the_reader_has_a_type_for_every_field() -> None:
    assert EVENT.keys() <= {f.path.partition(".")[0] for f in events.FIELDS}
