"""Writes a stream to a file or to Kafka, and its truth beside it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.errors import EarshotError, SettingsError
from pipeline.generate.plan import Plan
from pipeline.generate.stream import BLOCK, Stream
from pipeline.kafka.event_producer import EventProducer, ctrl_c_sets
from pipeline.processors.mentions.brands import Brands, load_brands

SAMPLE_BRANDS = Path(__file__).parent.parent / "brands.yaml"
SAMPLE_EVENTS, SAMPLE_RATE = 60_000, 100
LIVE_BLOCK = 100
Advance = Callable[[int], None]


@dataclass(slots=True)
class Sent:
    """The outcome of a stream's records."""

    acknowledged: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Refused by the broker or not acknowledged, by reason."""
    interrupted: bool = False


def sample_brands() -> Brands:
    """The brands that ship with Earshot."""
    return load_brands(SAMPLE_BRANDS)


def live(count: int, brands: Brands, seed: int, rate: float) -> Plan:
    """A stream that starts now with this many records a second, on average."""
    return Plan(count, brands, seed, datetime.now(UTC), count / rate / 86_400)


@contextmanager
def new_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Opens a new file to write; deletes it again if nothing was written.

    Raises SettingsError when it is there already, unless `force`; EarshotError when it can't be made.
    """
    try:
        file = path.open("wb" if force else "xb")
    except FileExistsError:
        raise SettingsError(f"{path} is there already (--force overwrites it)") from None
    except OSError as error:
        raise EarshotError(f"{path}: {error.strerror}") from None
    with file:
        try:
            yield file
        finally:
            if not file.tell():
                path.unlink()


def to_jsonl(plan: Plan, file: BinaryIO, truth: BinaryIO, advance: Advance) -> None:
    """Record n, from 0, becomes line n + 1; Kafka's key is the line's `platform:id`, if they are readable."""
    for block in Stream(plan).blocks():
        write_lines(file, block.values)
        write_truth(truth, block.truth)
        advance(len(block.values))


def to_kafka(
    plan: Plan, kafka: KafkaSettings, truth: BinaryIO, advance: Advance, *, rate: float | None = None, is_live: bool = False
) -> Sent:
    """Produces the records in order and waits for all acknowledgements.

    `rate`: records a second, None for as fast as it goes; `is_live`: each when its time comes. Ctrl-C ends it early. The truth
    of records is written once they are on their way. Raises UnreachableError without a broker or topic.
    """
    stop = threading.Event()
    with EventProducer(kafka, stop) as producer, ctrl_c_sets(stop):
        started, number = time.monotonic(), 0
        for block in Stream(plan).blocks(LIVE_BLOCK if is_live else BLOCK):
            for key, value, at in zip(block.keys, block.values, block.times, strict=True):
                if is_live:
                    producer.wait_until(started + (at - plan.start_ms) / 1000)
                elif rate is not None:
                    producer.wait_until(started + number / rate)
                if stop.is_set():
                    break
                producer.produce(key, value)
                number += 1
            else:
                write_truth(truth, block.truth)
                advance(len(block.values))
            if stop.is_set():
                break
        producer.finish()
    return Sent(producer.acknowledged, producer.failed, stop.is_set())


def feed_sample(settings: Settings, stop: threading.Event) -> None:
    """Feeds a live stream of the sample's brands, until it ends or `stop` is set.

    Its ids and times are those of this start, so each start lands new events. Raises UnreachableError without a broker.
    """
    with EventProducer(settings.kafka, stop) as producer:
        plan, started = live(SAMPLE_EVENTS, sample_brands(), 1, SAMPLE_RATE), time.monotonic()
        for block in Stream(plan).blocks(LIVE_BLOCK):
            for key, value, at in zip(block.keys, block.values, block.times, strict=True):
                producer.wait_until(started + (at - plan.start_ms) / 1000)
                if stop.is_set():
                    return
                producer.produce(key, value)


def write_lines(file: BinaryIO, lines: list[bytes]) -> None:
    file.write(b"\n".join([*lines, b""]))


def write_truth(truth: BinaryIO, lines: list[str]) -> None:
    truth.write("\n".join([*lines, ""]).encode())
