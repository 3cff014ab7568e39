"""The standard load: what the benchmarks' figures rest on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec
import orjson
import pytest

from benchmarks.large import MORE
from benchmarks.standard import Record, standard_brands, standard_keywords, standard_load
from schemas.events import record_type

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DECODER = msgspec.json.Decoder(record_type())


def test_every_brand_has_keywords_of_its_own() -> None:
    brands = standard_brands()["brands"]
    assert len(brands) == 20
    words = [word for brand in brands for word in (*brand["handles"], *brand["keywords"])]
    assert len(words) == len(set(words)) == 220


def test_the_standard_load_keeps_its_promises() -> None:
    count = 40_000
    records = list(standard_load(count, 1, START))
    assert records == list(standard_load(count, 1, START))
    assert 470 <= sum(len(record.value) for record in records) / count <= 490
    large = [len(record.value) for record in standard_load(2_000, 1, START, more=MORE)]
    assert 1_480 <= sum(large) / len(large) <= 1_520
    assert (count - len(set(records))) / count == pytest.approx(0.1, abs=0.01)
    keywords = standard_keywords()
    assert len(set(keywords)) == 200
    assert not any(a != b and a in b for a in keywords for b in keywords)
    sample = records[:5_000]
    mentioning = sum(any(word in record.value.decode() for word in keywords) for record in sample)
    assert mentioning / len(sample) == pytest.approx(0.2, abs=0.03)
    for record in sample:
        DECODER.decode(record.value)


def test_the_standard_load_redelivers_near_and_far() -> None:
    first: dict[Record, int] = {}
    gaps = [number - first.setdefault(record, number) for number, record in enumerate(standard_load(60_000, 2, START))]
    assert sum(0 < gap < 1_500 for gap in gaps) > 1_500
    assert sum(gap > 10_000 for gap in gaps) > 1_000


def test_the_standard_load_can_hold_edits_and_deletes() -> None:
    events = [orjson.loads(record.value) for record in standard_load(20_000, 1, START, changes=0.05)]
    operations = Counter(event["operation"] for event in events)
    assert (operations["update"] + operations["delete"]) / len(events) == pytest.approx(0.05, abs=0.01)
    assert operations["delete"] > 50
    created = {event["id"]: event["created_at"] for event in events if event["operation"] == "create"}
    assert all(event["created_at"] == created[event["id"]] for event in events)


def test_standard_loads_of_two_seeds_share_no_event() -> None:
    first, second = ({record.key for record in standard_load(2_000, seed, START)} for seed in (1, 2))
    assert first.isdisjoint(second)
