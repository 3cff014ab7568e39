"""The shipped mappings on recorded exports that are no platform's payloads: reviews and spam. Every row is a valid event or is
explained.

The files hold real people's words: an assertion here compares counts, kinds and times, so that a failure prints none of them.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson
import pytest

from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import find_mapping
from schemas.events import EARLIEST, record_type
from schemas.untyped import JsonObject
from tests.support.platform_events import RECORDED, needs_recorded

pytestmark = needs_recorded
PLATFORMS = RECORDED / "platforms"
NO_DATE, AGO = "created_at is empty (from DATE)", "created_at: no time in '': it is not in ISO 8601 (from date)"


class Expected(NamedTuple):
    rows: int
    kinds: dict[str, int]
    ids: int
    """Different ones: equal rows are one event."""
    unmapped: dict[str, int] = {}
    """Rows by reason, without the form of a value."""


EXPECTED = {
    "spam/YT_Youtube01-Psy.csv": Expected(350, {"comment": 350}, 350),
    "spam/YT_Youtube02-KatyPerry.csv": Expected(350, {"comment": 350}, 350),
    "spam/YT_Youtube03-LMFAO.csv": Expected(438, {"comment": 438}, 438),
    "spam/YT_Youtube04-Eminem.csv": Expected(
        453,
        {"comment": 207},
        207,
        {NO_DATE: 244, "column 4: its quote is not closed before the next row": 1, "6 columns, the header has 5": 1},
    ),
    "spam/YT_Youtube05-Shakira.csv": Expected(370, {"comment": 370}, 369),
    "reviews_local/google_reviews.json": Expected(25, {}, 0, {AGO: 25}),
    "reviews_local/yelp_reviews.json": Expected(25, {"review": 25}, 25),
    "reviews_app/appstore_reviews.json": Expected(2, {"review": 2}, 2),
    "reviews_app/goat_app_reviews.csv": Expected(689, {"review": 689}, 689),
    "reviews_app/in.junio_app_reviews_1.csv": Expected(1_727, {"review": 1_727, "reply": 1_126}, 2_853),
    "reviews_app/in.junio_app_reviews_3.csv": Expected(152, {"review": 152, "reply": 96}, 248),
    "reviews_app/me.greenlight_app_reviews_1.csv": Expected(1_869, {"review": 1_869, "reply": 1_808}, 3_677),
}
FILES = pytest.mark.parametrize("name", EXPECTED)


@cache
def items(name: str) -> list[Mapped | Unmapped]:
    mapping = find_mapping(PLATFORMS / name)
    assert mapping is not None
    return list(read_events(PLATFORMS / name, mapping))


def mapped(name: str) -> list[JsonObject]:
    return [item.event for item in items(name) if isinstance(item, Mapped) and isinstance(item.event, dict)]


def test_every_file_is_expected() -> None:
    folders = {Path(name).parent.name for name in EXPECTED}
    assert {f"{folder}/{path.name}" for folder in folders for path in (PLATFORMS / folder).iterdir()} == EXPECTED.keys()


@FILES
def test_every_row_maps_or_is_explained(name: str) -> None:
    expected = EXPECTED[name]
    assert len({item.line for item in items(name)}) == expected.rows
    assert Counter(str(event["kind"]) for event in mapped(name)) == expected.kinds
    assert len({event["id"] for event in mapped(name)}) == expected.ids
    reasons = [item.reason for item in items(name) if isinstance(item, Unmapped)]
    assert Counter(re.sub("'.*'", "''", reason) for reason in reasons) == expected.unmapped
    assert not any(item.left_out for item in items(name) if isinstance(item, Mapped))


@FILES
def test_every_event_is_valid(name: str) -> None:
    decoder = msgspec.json.Decoder(record_type())
    earliest, latest = datetime.fromisoformat(EARLIEST), datetime.now(UTC) + timedelta(days=1)
    for event in mapped(name):
        decoder.decode(orjson.dumps(event))
        assert earliest <= datetime.fromisoformat(event["created_at"]) <= latest
        assert event["source"].keys() == {"name", "version"} and event["text"]
        assert event["kind"] == "reply" or "name" in event["author"] or event["platform"] == "app_store"
        assert event["kind"] != "review" or 1 <= event["rating"] <= 5


@FILES
def test_equal_ids_are_equal_events(name: str) -> None:
    seen: dict[str, JsonObject] = {}
    assert all(seen.setdefault(event["id"], event) == event for event in mapped(name))


def test_quotes_that_a_spreadsheet_broke_are_whole() -> None:
    texts = "".join(event["text"] for event in mapped("reviews_app/goat_app_reviews.csv"))
    assert texts.count("’") > 100
    assert not any(broken in texts for broken in ("‰Û", "â€™", "â€œ"))
