"""`earshot mapping new` on recorded files, untouched, against the mapping that a person wrote, or against the file itself.

The files hold real people's words: an assertion here compares shares, so that a failure prints none of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from pipeline.config import document
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import MappingFile, find_mapping
from pipeline.sources.recorded.markup import without_html
from pipeline.sources.recorded.suggest.write import suggest
from pipeline.sources.recorded.times import parser

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))
STREAM, SEMEVAL = DATA / "stream", DATA / "sentiment" / "semeval_en"
pytestmark = [
    pytest.mark.skipif(not (STREAM.is_dir() and SEMEVAL.is_dir()), reason=f"no recorded data at {DATA} (EARSHOT_DATA)"),
    pytest.mark.slow,
]
SHIPPED = (
    "airline_tweets.csv", "boston_2013_reposts.csv", "customer_care_conversations.json", "fampay_app_reviews_2.csv",
    "fampay_instagram_comments_all.csv", "fampay_instagram_data_latest_all.csv", "spotify_support_requests.csv",
)  # fmt: skip
LABELLED = ("twitter-2013dev-A.tsv", "twitter-2015train-A.tsv", "twitter-2016test-A.tsv")
FILES = [*(STREAM / name for name in (*SHIPPED, "mastodon_stream.jsonl")), *(SEMEVAL / name for name in LABELLED)]


class Event(NamedTuple):
    line: int
    id: str
    text: str
    time: str


class Shares(NamedTuple):
    """The share of the rows that have the text, the id and the time of the reference."""

    text: float
    id: float
    time: float


def mapped(path: Path, mapping: MappingFile) -> list[Event]:
    events: list[Event] = []
    for item in read_events(path, mapping):
        if isinstance(item, Mapped):
            event: Any = item.event
            events.append(Event(item.line, event["id"], event.get("text", ""), event["created_at"]))
    return events


def expected(path: Path) -> list[Event]:
    """The events of the shipped mapping; of the file itself where none ships."""
    if path.name in SHIPPED:
        mapping = find_mapping(path)
        assert mapping is not None
        return mapped(path, mapping)
    return list(of_the_file(path))


def of_the_file(path: Path) -> Iterator[Event]:
    hidden = parser("snowflake", None)
    for line, raw in enumerate(path.read_text("utf-8").removesuffix("\n").split("\n"), 1):
        if path.suffix == ".jsonl":
            status = orjson.loads(raw)
            yield Event(line, status["id"], without_html(status["content"]), parser("iso", None)(status["created_at"]))
        else:
            identifier, _, text, *_ = raw.split("\t")
            yield Event(line, identifier, text.strip(), hidden(identifier))


def shares(path: Path) -> Shares:
    suggested = document.parse(suggest(path).text.encode(), Path("suggested.yaml"), MappingFile)
    found: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for event in mapped(path, suggested):
        found[event.line, event.text].append(event)
    pairs = [
        (each, found[each.line, each.text].pop() if found.get((each.line, each.text)) else None) for each in expected(path)
    ]
    ours, theirs = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for want, got in pairs:
        if got is not None:
            ours[want.id].add(got.id)
            theirs[got.id].add(want.id)
    rows: dict[int, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for want, got in pairs:
        one = got is not None and len(ours[want.id]) == len(theirs[got.id]) == 1
        rows[want.line].append((got is not None, one, got is not None and got.time == want.time))
    return Shares(*(sum(all(part) for part in column) / len(rows) for column in zip(*map(_row, rows.values()), strict=True)))


def _row(events: list[tuple[bool, bool, bool]]) -> tuple[list[bool], list[bool], list[bool]]:
    return [e[0] for e in events], [e[1] for e in events], [e[2] for e in events]


def test_suggested_mappings_read_what_a_person_reads() -> None:
    figures = {path.name: shares(path) for path in FILES}
    for name, each in figures.items():
        print(f"{name}: text {each.text:.3f}, id {each.id:.3f}, time {each.time:.3f}")
    assert sum(each.text >= 0.9 and each.id >= 0.9 for each in figures.values()) >= 9
    assert sum(each.time >= 0.9 for each in figures.values()) >= 6
