"""Signals as records: what is read is what was written, records stay small, rubbish is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import signals
from schemas.signals import Candidate, Signal, by_minute, dump, once, parse_signal

EARLIEST, LATEST = datetime(1995, 1, 1), datetime(2100, 1, 1)
TIMES = st.datetimes(EARLIEST, LATEST).map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000, tzinfo=UTC))
MINUTES = TIMES.map(lambda t: t.replace(second=0, microsecond=0))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.none() | st.integers(0, 1 << 45)
CANDIDATES = st.builds(
    Candidate,
    rule=TEXTS, brand=TEXTS, platform=TEXTS, language=TEXTS, event_key=st.integers(0, 2**64 - 1), created_at=TIMES,
    occurred_at=TIMES, observed=st.floats(0, 1e12), words=st.lists(TEXTS, max_size=3).map(tuple), sentiment=TEXTS,
    public=st.booleans(), kafka_ms=NUMBERS, matched_at=st.none() | TIMES,
)  # fmt: skip
SIGNALS = st.builds(
    Signal,
    newest=st.none() | TIMES,
    kafka_ms=NUMBERS,
    touched=st.dictionaries(MINUTES, st.sets(TEXTS, min_size=1, max_size=4).map(sorted).map(tuple), max_size=4),
    candidates=st.lists(CANDIDATES, max_size=4).map(tuple),
    others=st.sets(MINUTES, max_size=4).map(sorted).map(tuple),
    upcoming=st.sets(MINUTES, max_size=4).map(sorted).map(tuple),
)
ONE = Candidate(
    "crisis", "Acme", "x", "en", 0xC0FFEE, datetime(2026, 11, 26, 10, 1, 2, 345_000, UTC),
    datetime(2026, 11, 26, 11, tzinfo=UTC), 1.0, ("recall",), "negative", True, 1_795_687_262_400,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(SIGNALS)
def test_what_is_read_is_what_was_written(written: Signal) -> None:
    (record,) = dump(written)
    assert parse_signal(record) == written


def test_the_record_is_as_the_module_says() -> None:
    minute = datetime(2026, 11, 26, 10, 1, tzinfo=UTC)
    (record,) = dump(Signal(ONE.created_at, 5, {minute: ("Acme", "Böhm")}, (ONE,), (minute + timedelta(minutes=1),), (minute,)))
    assert orjson.loads(record) == {
        "version": 2,
        "newest": "2026-11-26T10:01:02.345Z",
        "kafka_ms": 5,
        "touched": {"2026-11-26T10:01:00Z": ["Acme", "Böhm"]},
        "others": ["2026-11-26T10:02:00Z"],
        "upcoming": ["2026-11-26T10:01:00Z"],
        "candidates": [
            {
                "rule": "crisis", "brand": "Acme", "platform": "x", "language": "en", "event_key": "0000000000c0ffee",
                "created_at": "2026-11-26T10:01:02.345Z", "occurred_at": "2026-11-26T11:00:00.000Z", "observed": 1.0,
                "words": ["recall"], "sentiment": "negative", "public": True, "kafka_ms": 1_795_687_262_400,
            }
        ],
    }  # fmt: skip


def test_a_record_of_version_1_is_read() -> None:
    record = b'{"version":1,"newest":null,"kafka_ms":7,"touched":{"2026-11-26T10:01:00Z":["Acme"]},"candidates":[]}'
    assert parse_signal(record) == Signal(None, 7, {datetime(2026, 11, 26, 10, 1, tzinfo=UTC): ("Acme",)})


def test_a_record_may_say_when_the_event_came_to_match() -> None:
    """Peers of another version read the record: without the field, the event matched as it was created."""
    (without,), (record,) = (
        dump(Signal(candidates=(ONE,))),
        dump(Signal(candidates=(replace(ONE, matched_at=ONE.occurred_at),))),
    )
    (candidate,) = orjson.loads(record)["candidates"]
    assert candidate.pop("matched_at") == "2026-11-26T11:00:00.000Z"
    assert [candidate] == orjson.loads(without)["candidates"]
    (old,), (new,) = (parse_signal(each).candidates for each in (without, record))
    assert (old.matched_at, old.at, new.at) == (None, ONE.created_at, ONE.occurred_at)


def test_of_one_rule_brand_and_event_the_candidate_that_matched_last_stays() -> None:
    first, other = ONE, replace(ONE, brand="Bolt")
    edited, again = replace(ONE, matched_at=ONE.occurred_at), replace(ONE, observed=2.0)
    assert once([first, edited, other, again]) == [edited, other]
    assert once([first, again]) == [again]


@settings(max_examples=50, deadline=None)
@given(SIGNALS)
def test_a_large_one_is_split_and_nothing_is_lost(written: Signal) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "LARGEST", 300)
        records = dump(written)
    parts = [parse_signal(record) for record in records]
    assert {part.newest for part in parts} == {written.newest} and {part.kafka_ms for part in parts} == {written.kafka_ms}
    assert tuple(candidate for part in parts for candidate in part.candidates) == written.candidates
    pairs = [(minute, brand) for part in parts for minute, brands in part.touched.items() for brand in brands]
    assert by_minute(pairs) == written.touched
    for name in ("others", "upcoming"):
        assert tuple(minute for part in parts for minute in getattr(part, name)) == getattr(written, name)
    for record, part in zip(records, parts, strict=True):
        items = sum(map(len, part.touched.values())) + len(part.others) + len(part.upcoming) + len(part.candidates)
        assert len(record) <= 300 or items < 2


def test_a_backfill_of_months_is_several_records_within_the_limit() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    touched = {start + timedelta(minutes=n): ("Acme", "Bolt", "Cask") for n in range(30_000)}
    records = dump(Signal(start, None, touched))
    assert len(records) > 1 and max(map(len, records)) <= signals.LARGEST


@pytest.mark.parametrize(
    "record",
    [
        None, b"", b"x", b"[]", b"{}", b"1", b'{"version": 2}', b'{"version": 3}', b'"version"',
        b'{"version":2,"newest":null,"kafka_ms":null,"touched":{},"candidates":[],"others":"2026-11-26T10:01:00Z"}',
        b'{"version":2,"newest":null,"kafka_ms":null,"touched":{},"candidates":[],"upcoming":[5]}',
        b'{"version":1,"newest":5,"kafka_ms":null,"touched":{},"candidates":[]}',
        b'{"version":1,"newest":null,"kafka_ms":"x","touched":{},"candidates":[]}',
        b'{"version":1,"newest":null,"kafka_ms":null,"touched":{"yesterday":["A"]},"candidates":[]}',
        b'{"version":1,"newest":null,"kafka_ms":null,"touched":{"2026-11-26T10:01:00Z":"A"},"candidates":[]}',
        b'{"version":1,"newest":null,"kafka_ms":null,"touched":{},"candidates":[{"rule":"x"}]}',
        b'{"version":1,"newest":null,"kafka_ms":null,"touched":{},"candidates":{"a":1}}',
        dump(Signal(None, None, {}, (ONE,)))[0].replace(b'"0000000000c0ffee"', b'"coffee!"'),
        dump(Signal(None, None, {}, (ONE,)))[0].replace(b'"Acme"', b"null"),
    ],
)  # fmt: skip
def test_rubbish_is_refused(record: bytes | None) -> None:
    with pytest.raises(ValueError):
        parse_signal(record)


@pytest.mark.parametrize(
    "field",
    [
        {"observed": "nan"}, {"observed": "inf"}, {"observed": None}, {"event_key": "-1"}, {"event_key": "1" + "0" * 16},
        {"kafka_ms": 2**63}, {"kafka_ms": 1e300}, {"matched_at": "0001-01-01T00:00:00Z"},
        {"created_at": "9999-12-31T23:59:59Z"},
    ],
    ids=str,
)  # fmt: skip
def test_a_candidate_that_no_table_can_hold_is_refused(field: dict[str, object]) -> None:
    (record,) = dump(Signal(candidates=(ONE,)))
    value = orjson.loads(record)
    value["candidates"][0] |= field
    with pytest.raises(ValueError, match="is not from|no number|no signal|cannot convert"):
        parse_signal(orjson.dumps(value))
