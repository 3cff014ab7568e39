"""The load of the fault tests: a seeded stream of events whose every record is known by name.

Each *record* is one text of bytes. It may be delivered several times (redelivered near, within 1,000 messages, or far, tens
of thousands later); all deliveries are byte-identical and carry the same key, so they share a partition. Of all records:
about a tenth are delivered twice; some events are edited, get new counts or are deleted later, some changes come before
their create, some never see one, and a few records are no events at all.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import orjson
import xxhash

Fate = Literal["lands", "waits", "dead"]

BRAND = "Fault Test"
"""Named by the source in every text, so that a named query can count the events."""
NEAR = 1_000
FAR = (10_000, 40_000)
PLATFORMS = ("x", "reddit", "instagram", "trustpilot")
BROKEN = (b"no JSON %d", b"[%d]", b'{"platform": "x", "text": "no id", "n": %d}', b'{"id": "b%d", "platform": "x", "text": ')
PAD = b"<pad>"
SENTENCES = (
    "the order came late again and support did not answer love this great update thanks please fix the app it will "
    "not open since monday refund broken battery friendly staff nice colour cheaper elsewhere never again"
)
WORDS = SENTENCES.split()


class Message(NamedTuple):
    """One delivery. `record` numbers the record, `event` the event that it is about (-1: it is none)."""

    key: bytes
    value: bytes
    record: int
    event: int
    operation: str
    occurred_ms: int
    text: str | None = None
    likes: int | None = None
    padding: int = 0
    """So many bytes are missing in `value`, at its PAD."""

    @property
    def payload(self) -> bytes:
        """The record's bytes."""
        return self.value.replace(PAD, b"x" * self.padding) if self.padding else self.value

    @property
    def event_key(self) -> int:
        return xxhash.xxh3_64_intdigest(self.key)


@dataclass(slots=True)
class Generator:
    """`take(n)` gives the next n messages; the same seed and start give the same stream."""

    seed: int
    start_ms: int
    total: int
    """How many messages will be taken in all: far redeliveries are drawn nearer in a short stream."""
    one_in: int = 0
    """Of so many events all but one mention no brand; 0: each event mentions it."""
    random: random.Random = field(init=False)
    due: list[tuple[int, int, Message, bool]] = field(default_factory=list)
    place: int = 0
    records: int = 0
    events: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def take(self, count: int) -> list[Message]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Message:
        self.place += 1
        if self.due and self.due[0][0] <= self.place:
            _, _, message, first = heapq.heappop(self.due)
        else:
            message, first = self._event(), True
        if first:
            self._redeliver(message)
        return message

    def mentions_none(self, event: int) -> bool:
        return bool(self.one_in and event % self.one_in)

    def _later(self, message: Message, low: int, high: int, first: bool) -> None:
        at = self.place + self.random.randint(low, high)
        heapq.heappush(self.due, (at, message.record * 2 + (not first), message, first))

    def _redeliver(self, message: Message) -> None:
        draw = self.random.random()
        if draw < 0.06:
            self._later(message, 1, NEAR, False)
        elif draw < 0.13:
            low, high = min(FAR[0], self.total // 4), min(FAR[1], self.total // 2)
            self._later(message, low, high, False)

    def _event(self) -> Message:
        """A new event's first message; what else happens to the event is put on its way."""
        draw = self.random.random()
        if draw < 0.003:
            return self._broken()
        event = self.events
        self.events += 1
        messages = list(self._life(event))
        if draw < 0.006:  # its create never comes
            messages = [m for m in messages if m.operation != "create"] or [self._update(event, self._created(event) + 1000)]
        elif draw < 0.02 and len(messages) > 1:  # its create comes late
            messages.append(messages.pop(0))
        for place, message in enumerate(messages[1:]):
            self._later(message, 1 + 400 * place, 400 + 400 * place, True)
        return messages[0]

    def _life(self, event: int) -> Iterator[Message]:
        at = self._created(event)
        text, likes = self._text(), self.random.randrange(50)
        yield self._message(event, "create", at, text=text, likes=likes)
        for _ in range(self.random.choices((0, 1, 2, 3), (80, 12, 5, 3))[0]):
            at += self.random.randint(1_000, 60_000)
            yield self._update(event, at)
        if self.random.random() < 0.02:
            yield self._message(event, "delete", at + 1_000)

    def _update(self, event: int, at: int) -> Message:
        """New text or new counts, never both: what one carries has to survive the other."""
        if self.random.random() < 0.5:
            return self._message(event, "update", at, text=self._text())
        return self._message(event, "update", at, likes=self.random.randrange(50, 100_000))

    def _created(self, event: int) -> int:
        return self.start_ms + event * 20

    def _text(self) -> str:
        return f"{' '.join(self.random.choices(WORDS, k=12))} {self.random.getrandbits(40):x}"

    def _message(self, event: int, operation: str, at: int, text: str | None = None, likes: int | None = None) -> Message:
        platform = PLATFORMS[event % len(PLATFORMS)]
        native = f"{self.seed}-{event}"
        value: dict[str, Any] = {"id": native, "platform": platform, "kind": "post", "operation": operation}
        if operation == "create" or self.random.random() < 0.5:
            value["created_at"] = iso(self._created(event))
        value["occurred_at"] = iso(at)
        if operation == "create":
            value["direction"] = "inbound"
            value["author"] = {
                "id": f"u{event % 997}",
                "handle": f"user{event % 997}",
                "kind": "person",
                "followers": event % 5000,
            }
        if text is not None:
            value |= {"text": text, "language": "en", "visibility": "public"}
            value |= {} if self.mentions_none(event) else {"brands": [BRAND]}
        if likes is not None:
            value["metrics"] = {"likes": likes, "shares": likes // 7, "replies": likes // 5}
        key = f"{platform}:{native}".encode()
        return Message(key, orjson.dumps(value), self._record(), event, operation, at, text, likes)

    def _broken(self) -> Message:
        record = self._record()
        value = self.random.choice(BROKEN) % record
        return Message(b"broken:%d" % record, value, record, -1, "", 0)

    def _record(self) -> int:
        self.records += 1
        return self.records - 1


class Poisoned(Generator):
    """The same stream with records among it that once stopped a worker for ever: events that name a brand of more than a
    megabyte, and records of 14 MB that are no events, which only compression lets into Kafka."""

    def mix(self, names: int, huge: int) -> Poisoned:
        """`names` and `huge` of the `total` messages are poison."""
        places = self.random.sample(range(self.total), names + huge)
        self.poison = dict.fromkeys(places[:names], 1_100_000) | dict.fromkeys(places[names:], 14_000_000)
        self.taken = 0
        return self

    def take(self, count: int) -> list[Message]:
        first, self.taken = self.taken, self.taken + count
        return [self._poison(self.poison[at]) if at in self.poison else self._next() for at in range(first, self.taken)]

    def _poison(self, padding: int) -> Message:
        record, value = self._record(), b"[%d " + PAD
        if padding < 2_000_000:
            named = {"id": "%d", "platform": "x", "kind": "post", "created_at": iso(self.start_ms), "brands": [PAD.decode()]}
            value = orjson.dumps(named)
        return Message(b"poison:%d" % record, value.replace(b"%d", b"%d" % record), record, -1, "", 0, padding=padding)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
