"""A generated stream, and what its truth says will be there: mentions, tones, who waits, dead letters, the burst of anger."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

import orjson

from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.kafka.event_producer import parse

Event = dict[str, Any]
SPAN = timedelta(minutes=12)


@dataclass
class ToldStream:
    """A stream of the last minutes, with one burst."""

    count: int = 2_400
    begins: datetime = field(default_factory=lambda: datetime.now(UTC) - SPAN)

    def __post_init__(self) -> None:
        blocks = list(Stream(Plan(self.count, sample_brands(), start=self.begins, days=SPAN / timedelta(days=1))).blocks())
        self.records = [
            (key, value) for block in blocks for key, value in zip(block.keys, block.values, strict=True)
        ]  # fmt: skip
        times = list(chain.from_iterable(block.times for block in blocks))
        self.truth = defaultdict[str, list[Event]](list)
        for line in map(orjson.loads, chain.from_iterable(block.truth for block in blocks)):
            self.truth[line["kind"]].append(line)
        (self.burst,) = self.truth["burst"]
        end = datetime.fromisoformat(self.burst["end"]).timestamp() * 1000
        self.cut = sum(at <= end for at in times)
        """Records until the burst is over."""
        broken = {line["record"] for line in self.truth["broken"]}
        readable = [parse(value) for number, (_, value) in enumerate(self.records) if number not in broken]
        events = [event for event in readable if event is not None]
        self.created: dict[str, Event] = {key_of(event): event for event in events if "operation" not in event}
        tone = {line["event"]: line["tone"] for line in self.truth["text"]}
        self.tones = {event["text"]: tone[key_of(event)] for event in events if event.get("text")}
        """Text -> its tone, of edited texts, too."""

    @property
    def brand(self) -> str:
        """Of the burst."""
        return str(self.burst["brand"])

    @cached_property
    def mentions(self) -> list[tuple[str, datetime, Event, str]]:
        """What others said of each brand, as it is in the end: the brand, when, the event, its tone; blank: it has no text."""
        told, gone = {line["event"]: line for line in self.truth["text"]}, {line["event"] for line in self.truth["delete"]}
        found = list[tuple[str, datetime, Event, str]]()
        for key, event in self.created.items():
            if key in gone or event["direction"] == "outbound":
                continue
            line = told.get(key, {"brands": event.get("brands", ()), "tone": ""})
            at = datetime.fromisoformat(event["created_at"])
            found += [(brand, at, event, line["tone"]) for brand in line["brands"]]
        return found

    def of(self, brand: str, since: datetime | None = None) -> list[tuple[Event, str]]:
        """The mentions of a brand, since then."""
        return [(event, tone) for name, at, event, tone in self.mentions if name == brand and (since is None or at >= since)]

    @property
    def quiet(self) -> list[str]:
        """Brands with half as many mentions as the burst has texts, or fewer."""
        many = Counter(brand for brand, *_ in self.mentions)
        return [brand for brand, count in many.items() if count <= self.burst["texts"] / 2]

    @property
    def one(self) -> str:
        """The key of a text of the burst to which no other record refers."""
        named = Counter(
            value
            for kind, lines in self.truth.items()
            if kind != "text"
            for line in lines
            for value in line.values()
            if isinstance(value, str)
        )
        replied = {event.get("in_reply_to") for event in self.created.values()}
        begin, end = (datetime.fromisoformat(self.burst[name]) for name in ("start", "end"))
        return next(
            f"{event['platform']}:{event['id']}"
            for event, tone in self.of(self.brand, begin)
            if tone == "negative" and datetime.fromisoformat(event["created_at"]) < end and event["kind"] == "post"
            if not named[f"{event['platform']}:{event['id']}"] and event["id"] not in replied
        )

    @property
    def unanswered(self) -> dict[str, set[str]]:
        """Brand -> the conversations in which no question has an answer."""
        found = defaultdict[str, set[str]](set)
        answered = {line["conversation"] for line in self.truth["thread"] if line["response"]}
        for line in self.truth["thread"]:
            if line["conversation"] not in answered:
                found[line["brand"]].add(line["conversation"])
        return found


def key_of(event: Event) -> str:
    return f"{event['platform']}:{event['id']}"
