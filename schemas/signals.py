"""Signal: a message to the alert evaluator, and to the job that fills the rollups, after a landing. It has the (brand, minute)
pairs that the landing touched, and the events that match a single-event rule.

A signal carries no counts: who reads it reads them from ClickHouse, so that a replay or a second worker counts nothing twice.
It may come again, and late; two candidates are the same if rule, brand and event are. It holds no text, name or handle of a
person, except the words of a text that a rule looks for.

    {"version": 2, "newest": "2026-11-26T10:01:02.345Z", "kafka_ms": 1795687262400,
     "touched": {"2026-11-26T10:01:00Z": ["Acme"]}, "others": ["2026-11-26T10:02:00Z"], "upcoming": [],
     "candidates": [{"rule": "crisis", "brand": "Acme", "platform": "x", "language": "en", "event_key": "00c0ffee00c0ffee",
                     "created_at": "2026-11-26T10:01:02.345Z", "occurred_at": "2026-11-26T10:01:02.345Z", "observed": 1.0,
                     "words": ["recall"], "sentiment": "negative", "public": true, "kafka_ms": 1795687262400}]}

A candidate whose event came to match after it was created also has "matched_at". Version 1 has neither "others" nor "upcoming".
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from schemas.times import rfc3339
from schemas.untyped import JsonObject

VERSION = 2
VERSIONS = (1, VERSION)
"""Those that are read."""
LARGEST = 512 << 10
"""Bytes of one record at most: a broker's default limit is 1 MB."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One event that matches a single-event rule for one brand. Times are aware, UTC, whole milliseconds."""

    rule: str
    brand: str
    platform: str
    language: str
    """ISO 639; blank: not known."""
    event_key: int
    created_at: datetime
    occurred_at: datetime
    """When the change happened that the worker judged: for an edit, the time of the edit."""
    observed: float
    """Followers, or likes, shares and replies together; 1 for a keyword."""
    words: tuple[str, ...] = ()
    """As the rule writes them, sorted."""
    sentiment: str = ""
    """Its label; blank: none."""
    public: bool = True
    kafka_ms: int | None = None
    """Kafka's time of the record, ms since 1970; None: unknown."""
    matched_at: datetime | None = None
    """When the event came to match the rule: its age decides whether somebody is notified. None, or not in the record: as it
    was created."""

    @property
    def at(self) -> datetime:
        """When the event came to match the rule."""
        return self.matched_at or self.created_at

    def heard(self, now: datetime) -> Candidate:
        """The candidate as heard of `now`: no event came to match later, whatever time its source or its edit gives."""
        return replace(self, matched_at=now) if self.at > now else self


@dataclass(frozen=True, slots=True)
class Signal:
    """One landing, or a part of it. Times are aware, UTC."""

    newest: datetime | None = None
    """The newest occurred_at that landed, by the events' own time, so it may lie in the future; None: nothing new landed."""
    kafka_ms: int | None = None
    """Kafka's newest time of the landed records, ms since 1970."""
    touched: Mapping[datetime, tuple[str, ...]] = field(default_factory=dict)
    """Minute of created_at: the brands whose events of that minute changed, sorted."""
    candidates: tuple[Candidate, ...] = ()
    others: tuple[datetime, ...] = ()
    """Minutes of created_at whose events without a brand changed, or whose change the alerts need not judge; sorted."""
    upcoming: tuple[datetime, ...] = ()
    """Minutes whose events are about to change, sorted: the sender may be killed before it says that they have."""


def dump(signal: Signal) -> list[bytes]:
    """The signal as records of LARGEST bytes at most; a record of a single brand or candidate may be larger."""
    body = orjson.dumps(
        {
            "version": VERSION,
            "newest": signal.newest and rfc3339(signal.newest),
            "kafka_ms": signal.kafka_ms,
            "touched": {_minute(minute): brands for minute, brands in signal.touched.items()},
            "others": [_minute(minute) for minute in signal.others],
            "upcoming": [_minute(minute) for minute in signal.upcoming],
            "candidates": [_record(candidate) for candidate in signal.candidates],
        }
    )
    parts = [] if len(body) <= LARGEST else list(_halves(signal))
    return [record for part in parts for record in dump(part)] if parts else [body]


def halves(record: bytes) -> list[bytes]:
    """Splits a record of `dump` in two; empty for a record of a single brand, minute or candidate."""
    return [half for part in _halves(parse_signal(record)) for half in dump(part)]


def _halves(signal: Signal) -> Iterator[Signal]:
    pairs = tuple((minute, brand) for minute, brands in signal.touched.items() for brand in brands)
    parts: list[tuple[Any, ...]] = [pairs, signal.others, signal.upcoming, signal.candidates]
    if (size := sum(map(len, parts))) < 2:
        return
    begins = [sum(map(len, parts[:number])) for number in range(len(parts))]
    for first, end in ((0, size // 2), (size // 2, size)):
        slices = [part[max(0, first - begin) : max(0, end - begin)] for part, begin in zip(parts, begins, strict=True)]
        touched, others, upcoming, candidates = slices
        yield replace(signal, touched=by_minute(touched), others=others, upcoming=upcoming, candidates=candidates)


def by_minute(pairs: Iterable[tuple[datetime, str]]) -> dict[datetime, tuple[str, ...]]:
    """Pairs of minute and brand in the form of `touched`."""
    listed: defaultdict[datetime, list[str]] = defaultdict(list)
    for minute, brand in pairs:
        listed[minute].append(brand)
    return {minute: tuple(brands) for minute, brands in listed.items()}


def once(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each rule, brand and event once: the candidate that came to match last, of equal ones the last."""
    last: dict[tuple[str, str, int], Candidate] = {}
    for each in candidates:
        key = each.rule, each.brand, each.event_key
        if key not in last or each.at >= last[key].at:
            last[key] = each
    return list(last.values())


def parse_signal(record: bytes | None) -> Signal:
    """The signal of a record of topic `signals`. Raises ValueError for anything else, and for another version."""
    try:
        value = orjson.loads(record or b"")
        if value["version"] not in VERSIONS:
            raise ValueError(f"a signal of version {value['version']!r}, not {' or '.join(map(str, VERSIONS))}")
        return Signal(
            newest=None if value["newest"] is None else _utc_time(value["newest"]),
            kafka_ms=_optional_int(value["kafka_ms"]),
            touched={_utc_time(minute): _texts(brands) for minute, brands in value["touched"].items()},
            candidates=tuple(_candidate(each) for each in value["candidates"]),
            others=_minutes(value.get("others", [])),
            upcoming=_minutes(value.get("upcoming", [])),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no signal: {type(error).__name__}: {error}") from None


def _record(candidate: Candidate) -> JsonObject:
    values = {name: getattr(candidate, name) for name in Candidate.__slots__ if name != "matched_at"}
    values |= {
        "event_key": f"{candidate.event_key:016x}",
        "created_at": rfc3339(candidate.created_at),
        "occurred_at": rfc3339(candidate.occurred_at),
    }
    return values | ({"matched_at": rfc3339(candidate.matched_at)} if candidate.matched_at else {})


def _candidate(value: JsonObject) -> Candidate:
    names = ("rule", "brand", "platform", "language", "sentiment")
    matched_at = value.get("matched_at")
    return Candidate(
        **dict(zip(names, _texts([value[name] for name in names]), strict=True)),
        event_key=_within(int(value["event_key"], 16), 0, 2**64),
        created_at=_utc_time(value["created_at"]),
        occurred_at=_utc_time(value["occurred_at"]),
        observed=_finite(float(value["observed"])),
        words=_texts(value["words"]),
        public=value["public"] is True,
        kafka_ms=_optional_int(value["kafka_ms"]),
        matched_at=None if matched_at is None else _utc_time(matched_at),
    )


def _minute(minute: datetime) -> str:
    return minute.strftime("%Y-%m-%dT%H:%M:00Z")


def _minutes(values: object) -> tuple[datetime, ...]:
    return tuple(map(_utc_time, _texts(values)))


def _utc_time(text: str) -> datetime:
    at = datetime.fromisoformat(text).astimezone(UTC)
    _within(at.year, 1970, 2200)  # a column holds no other
    return at


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number to compare")
    return number


def _within(number: int, first: int, end: int) -> int:
    if not first <= number < end:
        raise ValueError(f"{number} is not from {first} to {end - 1}")
    return number


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("texts are expected")
    return tuple(values)


def _optional_int(value: Any) -> int | None:
    return None if value is None else _within(int(value), -(2**63), 2**63)
