"""The seeded sample stream: the same arguments give the same bytes, on any machine and in any run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson
import yaml

from pipeline.sample import Brands, Event, Sample
from pipeline.sources.times import to_rfc3339

SAMPLE_BRANDS = Path(__file__).parent / "brands.yaml"


class Record(NamedTuple):
    """A Kafka record; broken ones may lack their key."""

    key: bytes | None
    value: bytes


# --- the sample stream ----------------------------------------------------------------------------------------------
REDELIVERED, CHANGED, BROKEN = 0.03, 0.06, 0.005
BREAKS: tuple[Callable[[bytes], bytes], ...] = (
    lambda value: value[: len(value) // 2],
    lambda value: value.replace(b'"id":', b'"identifier":', 1),
    lambda value: value.replace(b'"kind":"', b'"kind":"un', 1),
    lambda value: value.replace(b'"created_at":"20', b'"created_at":"00', 1),
    lambda value: value + value,
    lambda value: b"",
    lambda value: b"<html><body>502 Bad Gateway</body></html>",
    lambda value: value.replace(b'"source":{', b'"rating":NaN,"source":{', 1),
)


def sample_brands() -> Brands:
    """The brands that ship with the sample stream."""
    brands: Brands = yaml.safe_load(SAMPLE_BRANDS.read_text("utf-8"))
    return brands


def generate(
    count: int, seed: int, start: datetime, *, brands: Brands | None = None, rate: float = 100.0, run: str = ""
) -> Iterator[Record]:
    """`count` believable records, `rate` of them a second from `start` on: creates on several platforms, edits and deletes of
    recent ones, redeliveries, and a few broken records.

    `run` goes before every id, so that streams of different runs are different events.
    """
    random = Random(seed)
    sample = Sample(random, brands or sample_brands(), run)
    recent: deque[Event] = deque(maxlen=500)
    sent: deque[Record] = deque(maxlen=500)
    for number in range(count):
        now = to_rfc3339(start + timedelta(seconds=number / rate))
        dice = random.random()
        if dice < REDELIVERED and sent:
            yield sent[random.randrange(len(sent))]
            continue
        if dice < REDELIVERED + CHANGED and recent:
            record = _record(_change(sample, recent, now))
        else:
            event = sample.create(now)
            record = _record(event)
            if dice > 1 - BROKEN:
                yield Record(random.choice((record.key, None)), random.choice(BREAKS)(record.value))
                continue
            recent.append(event)
        sent.append(record)
        yield record


def _change(sample: Sample, recent: deque[Event], now: str) -> Event:
    place = sample.random.randrange(len(recent))
    event = recent[place]
    change = {name: event[name] for name in ("id", "platform", "kind", "created_at", "source")} | {"occurred_at": now}
    if sample.random.random() < 0.15:
        del recent[place]
        return change | {"operation": "delete"}
    changed = sample.edit(event)
    event |= changed
    return change | {"operation": "update"} | changed


def _record(event: Event) -> Record:
    return Record(f"{event['platform']}:{event['id']}".encode(), orjson.dumps(event))
