"""A stream of events of which each is about one of many brands, of unequal volume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import exp, log
from zlib import crc32

from confluent_kafka import Producer

from benchmarks.query_tables import BRANDS, brand
from benchmarks.standard import standard_load
from pipeline.config.settings import Settings

TICK_S = 0.01


def stream(
    settings: Settings, rate: int, seconds: int, going: Callable[[], bool], sent: Callable[[float], None] = lambda at: None
) -> None:
    """Produces at a steady rate, for so long and while it is `going`: each event is new. `sent` gets the time of each call of
    produce. Raises RuntimeError when not all was acknowledged."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, each_tick, started = settings.kafka.topic("events"), max(1, int(rate * TICK_S)), time.monotonic()
    seed = time.monotonic_ns() % (1 << 31)
    for number, record in enumerate(standard_load(rate * seconds, seed, datetime.now(UTC), rate=rate, duplicates=0.0)):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            if not going():
                break
        sent(time.monotonic())
        producer.produce(topic, b'{"brands":["%s"],%s' % (_brand(record.key), record.value[1:]), record.key)
    if producer.flush(60):
        raise RuntimeError("not all events were acknowledged")


@contextmanager
def streaming(settings: Settings, rate: int) -> Iterator[None]:
    """So many events a second until the end of the block."""
    ended = threading.Event()
    busy = threading.Thread(target=stream, args=(settings, rate, 86_400, lambda: not ended.is_set()))
    busy.start()
    try:
        yield
    finally:
        ended.set()
        busy.join()


def _brand(key: bytes) -> bytes:
    """One of BRANDS, as often as in benchmarks/query_tables.py."""
    return brand(min(BRANDS, int(exp(crc32(key) / (1 << 32) * log(BRANDS + 1))))).encode()
