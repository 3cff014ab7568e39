"""The seeded streams: the same bytes for the same arguments, and the shares they promise."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest

from pipeline.generate import Record, generate, sample_brands
from pipeline.phrases import LANGUAGES
from pipeline.sources.mapping import FIELD_BY_PATH
from schemas.events import record_type

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DECODER = msgspec.json.Decoder(record_type())


def valid(record: Record) -> dict[str, Any] | None:
    """The event, if it is one that the pipeline takes."""
    try:
        DECODER.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    event: dict[str, Any] = orjson.loads(record.value)
    known = all(event.get(path) in (None, *field.values) for path, field in FIELD_BY_PATH.items() if field.values)
    in_range = "2026" <= event.get("created_at", "")[:4] < "2027"
    return event if known and in_range and "id" in event else None


@pytest.mark.parametrize("seed", [1, 2])
def test_the_sample_is_the_same_each_time(seed: int) -> None:
    records = list(generate(800, seed, START, run="a-"))
    assert records == list(generate(800, seed, START, run="a-"))
    assert records != list(generate(800, seed + 1, START, run="a-"))


def test_another_run_holds_other_events() -> None:
    first, second = ({record.key for record in generate(800, 1, START, run=run) if valid(record)} for run in ("a-", "b-"))
    assert first.isdisjoint(second)


def test_the_sample_is_a_believable_mix() -> None:
    records = list(generate(5_000, 1, START))
    events = [event for record in records if (event := valid(record))]
    assert len(records) == 5_000
    assert len({event["platform"] for event in events}) >= 8
    assert len({event["kind"] for event in events}) >= 15
    assert {event.get("language") for event in events} >= LANGUAGES.keys()
    assert Counter(event.get("operation") for event in events).keys() == {None, "update", "delete"}
    assert {event.get("direction") for event in events} >= {"inbound", "outbound"}
    assert 10 <= len(records) - len(events) <= 60, "broken records"
    assert 80 <= len(records) - len(set(records)) <= 250, "redeliveries"
    texts = " ".join(event.get("text") or "" for event in events).lower()
    for brand in sample_brands()["brands"]:
        assert any(word in texts for word in (*brand["handles"], *brand["keywords"])), brand["name"]


def test_changes_name_an_event_that_was_created_before() -> None:
    created: dict[bytes | None, str] = {}
    changes = 0
    for record in generate(5_000, 3, START):
        event = valid(record)
        if event is None:
            continue
        assert record.key == f"{event['platform']}:{event['id']}".encode()
        if "operation" not in event:
            created.setdefault(record.key, event["created_at"])
        else:
            changes += 1
            assert event["created_at"] == created[record.key]
            assert datetime.fromisoformat(event["occurred_at"]) > datetime.fromisoformat(event["created_at"])
    assert changes > 200


def test_the_sample_keeps_its_pace() -> None:
    times = [event["created_at"] for record in generate(300, 1, START, rate=50) if (event := valid(record))]
    last = max(datetime.fromisoformat(time) for time in times)
    assert START + timedelta(seconds=5) < last <= START + timedelta(seconds=6)


def test_every_brand_has_a_handle_and_keywords_of_its_own() -> None:
    brands = sample_brands()["brands"]
    assert len(brands) == 20
    words = [word for brand in brands for word in (*brand["handles"], *brand["keywords"])]
    assert len(words) == len(set(words))
    assert all(word == word.lower() for word in words)
