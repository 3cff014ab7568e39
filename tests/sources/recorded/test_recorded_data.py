"""The shipped mappings on the recorded files: every row is a valid event or is explained.

The files hold real people's words: an assertion here compares counts, kinds and times, so that a failure prints none of them.
"""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import FIELD_BY_PATH, find_mapping
from schemas.events import EARLIEST, record_type

STREAM = Path(os.environ.get("EARSHOT_DATA", "../shared/data")) / "stream"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STREAM.is_dir(), reason=f"no recorded data: EARSHOT_DATA ({STREAM.parent}) holds no stream/"),
]

EXPECTED = {  # rows, events, of these with an id of their own
    "airline_tweets.csv": (9_494, 9_494, 9_339),
    "boston_2013_reposts.csv": (10_012, 10_012, 10_012),
    "customer_care_conversations.json": (525, 1_211, 1_205),
    "fampay_app_reviews_2.csv": (6_219, 11_192, 11_192),
    "fampay_instagram_comments_all.csv": (33_333, 33_333, 33_333),
    "fampay_instagram_data_latest_all.csv": (653, 653, 653),
    "spotify_support_requests.csv": (15_096, 15_096, 15_096),
}


@cache
def items(name: str) -> list[Mapped | Unmapped]:
    mapping = find_mapping(STREAM / name)
    assert mapping is not None
    return list(read_events(STREAM / name, mapping))


def events(name: str) -> list[dict[str, Any]]:
    return [item.event for item in items(name) if isinstance(item, Mapped) and isinstance(item.event, dict)]


def of(event: dict[str, Any], path: str) -> Any:
    head, _, tail = path.partition(".")
    return event.get(head, {}).get(tail) if tail else event.get(head)


def moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["created_at"])


def test_every_table_of_the_stream_has_a_mapping() -> None:
    tables = {path.name for path in STREAM.iterdir() if path.suffix in (".csv", ".tsv", ".json")}
    assert tables == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_maps_or_is_explained(name: str) -> None:
    rows, mapped, distinct = EXPECTED[name]
    found = items(name)
    assert len({item.line for item in found}) == rows
    assert len(events(name)) == mapped
    assert len({event["id"] for event in events(name)}) == distinct
    unmapped = [item for item in found if isinstance(item, Unmapped)]
    assert [item.line for item in unmapped] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_equal_ids_are_equal_events(name: str) -> None:
    seen: dict[str, dict[str, Any]] = {}
    assert all(seen.setdefault(event["id"], event) == event for event in events(name))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_event_is_valid(name: str) -> None:
    decoder = msgspec.json.Decoder(record_type())
    enumerations = [(path, field.values) for path, field in FIELD_BY_PATH.items() if field.values]
    earliest, latest = datetime.fromisoformat(EARLIEST), datetime.now(UTC) + timedelta(days=1)
    wrong: set[tuple[str, object]] = set()
    for event in events(name):
        decoder.decode(orjson.dumps(event))
        if not (event["created_at"].endswith("Z") and earliest <= moment(event) <= latest):
            wrong.add(("created_at", event["created_at"]))
        wrong |= {(path, of(event, path)) for path, values in enumerations if of(event, path) not in (None, *values)}
    assert wrong == set()


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - {"boston_2013_reposts.csv"}))
def test_brand_direction_and_source_are_known(name: str) -> None:
    assert all(event["brands"] for event in events(name))
    assert {event["direction"] for event in events(name)} <= {"inbound", "outbound"}
    assert {tuple(event["source"]) for event in events(name)} == {("name", "version")}


def test_airline_times_are_those_in_what_is_left_of_the_ids() -> None:
    """An id that lost its last digits still tells the time to about five minutes."""
    with (STREAM / "airline_tweets.csv").open(newline="") as file:
        ids = [int(float(row["tweet_id"])) for row in csv.DictReader(file)]
    hidden = [datetime.fromtimestamp(((number >> 22) + 1288834974657) / 1000, UTC) for number in ids]
    apart = [abs(moment(event) - at) for event, at in zip(events("airline_tweets.csv"), hidden, strict=True)]
    assert max(apart) < timedelta(minutes=5)


def test_conversation_times_are_those_in_the_ids() -> None:
    turns = [event for event in events("customer_care_conversations.json") if "in_reply_to" not in event]
    hidden = [datetime.fromtimestamp(((int(turn["id"]) >> 22) + 1288834974657) / 1000, UTC) for turn in turns]
    assert all(timedelta(0) <= at - moment(turn) < timedelta(seconds=1) for turn, at in zip(turns, hidden, strict=True))


def test_reposts_are_as_many_as_were_counted() -> None:
    kinds = [event["kind"] for event in events("boston_2013_reposts.csv")]
    assert kinds.count("repost") == 2_994


def test_comments_have_the_time_of_their_post() -> None:
    posts = {event["id"]: event["created_at"] for event in events("fampay_instagram_data_latest_all.csv")}
    assert all(event["created_at"] == posts[event["in_reply_to"]] for event in events("fampay_instagram_comments_all.csv"))


def test_replies_to_reviews_keep_their_time_even_when_it_is_earlier() -> None:
    found = events("fampay_app_reviews_2.csv")
    reviews = {event["id"]: moment(event) for event in found if event["kind"] == "review"}
    replies = [event for event in found if event["kind"] == "reply"]
    assert {event["direction"] for event in replies} == {"outbound"}
    assert sum(moment(reply) < reviews[reply["in_reply_to"]] for reply in replies) == 200
