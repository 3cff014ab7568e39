"""How long until an event can be seen: from the call that produces it to the first SELECT of another client that returns it.

Events come at a steady rate from one producer; the other client asks every 20 ms for the rows that it has not seen yet, so a
time is up to that much too long, never too short. A row that is never seen fails the measurement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from benchmarks.ground import LOOK_S, Ground, Worker, ground, wait_for_rows
from benchmarks.progress import bar
from benchmarks.report import MS, Figure
from benchmarks.standard import standard_load
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("end_to_end.visible_p50_ms", "end_to_end.visible_p99_ms", "end_to_end.visible_max_ms")
WARM_UP_EVENTS = 100_000
TICK_S = 0.01
"""The producer sends so many seconds' events at once and sleeps: waiting for each one took most of a core."""
WINDOW_S = 60
"""How far back the other client looks while events come; what becomes visible later than that is found at the end."""
Times = npt.NDArray[np.float64]


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    with ground() as stage:
        milliseconds = measure(stage, rate, seconds) * 1000
    values = (np.percentile(milliseconds, 50), np.percentile(milliseconds, 99), milliseconds.max())
    conditions = f"{rate:,} events/s for {seconds} s, {len(milliseconds):,} rows, from the call of produce to a SELECT's answer"
    for name, value in zip(NAMES, values, strict=True):
        yield Figure(name, float(value), MS, conditions)


def measure(
    stage: Ground,
    rate: int,
    seconds: int,
    then: Callable[[Client], None] = lambda client: None,
    beside: Callable[[Settings], AbstractContextManager[object]] = nullcontext,
    warm_up_events: int = WARM_UP_EVENTS,
) -> Times:
    """The seconds that each event took; `then` runs when all were seen, `beside` all the time. A second measurement on a stage
    needs another number of `warm_up_events`, and so another topic: on the first one's its events would be redeliveries.

    Raises RuntimeError when one was never seen.
    """
    warm_up = stage.topic(warm_up_events)
    with (
        stage.run(warm_up) as settings,
        Worker(settings) as worker,
        clickhouse_client(settings.clickhouse) as client,
        beside(settings),
    ):
        worker.wait_until_it_reads()
        for _ in wait_for_rows(client, warm_up.distinct):
            pass
        # Twice an even share for each partition, and some: which one gets how many is not known before.
        positions = Positions(ends(settings), 2 * rate * seconds // settings.kafka.partitions + 1_000)
        watcher = Watcher(client, positions)
        watcher.start()
        try:
            produce_at(settings, rate, seconds, positions)
            watcher.wait_for_all()
        finally:
            watcher.stop()
        then(client)
    return positions.times()


def ends(settings: Settings) -> list[int]:
    """The end of each partition of topic events."""
    consumer, topic = Consumer({**settings.kafka.client(), "group.id": "ends"}), settings.kafka.topic("events")
    try:
        places = [TopicPartition(topic, number) for number in range(settings.kafka.partitions)]
        return [int(consumer.get_watermark_offsets(place, timeout=10)[1]) for place in places]
    finally:
        consumer.close()


class Positions:
    """When the event at each position was sent and seen; NaN: not (a redelivery counts as not sent, it becomes no row)."""

    def __init__(self, first: list[int], places: int) -> None:
        self.first = np.array(first)
        self.sent = np.full((len(first), places), np.nan)
        self.seen = np.full((len(first), places), np.nan)

    def left(self) -> int:
        return int((~np.isnan(self.sent) & np.isnan(self.seen)).sum())

    def times(self) -> Times:
        if left := self.left():
            raise RuntimeError(f"{left} events were never seen")
        times: Times = (self.seen - self.sent)[~np.isnan(self.sent)]
        return times


def produce_at(settings: Settings, rate: int, seconds: int, positions: Positions, seed: int = 2) -> None:
    """Produces at a steady rate; notes when each event was handed over. Raises RuntimeError when one was not acknowledged."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, first = settings.kafka.topic("events"), positions.first.tolist()

    def delivered(now: float, error: KafkaError | None, message: Message) -> None:
        if error is None:
            partition, offset = message.partition() or 0, message.offset() or 0
            positions.sent[partition, offset - first[partition]] = now

    known: set[bytes] = set()
    total, started = rate * seconds, time.monotonic()
    load = standard_load(total, seed, datetime.now(UTC), rate=rate)
    each_tick = max(1, int(rate * TICK_S))
    for number, record in enumerate(bar.track(load, total, f"{rate:,} events/s")):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        now = float("nan") if record.key in known else time.monotonic()
        known.add(record.key)
        producer.produce(topic, record.value, record.key, on_delivery=partial(delivered, now))
    producer.flush(30)
    if (lost := len(known) - int((~np.isnan(positions.sent)).sum())) > 0:
        raise RuntimeError(f"{lost} events were not acknowledged")


class Watcher(threading.Thread):
    """Another client: asks again and again for the rows that it has not seen yet, and notes when each came."""

    def __init__(self, client: Client, positions: Positions) -> None:
        super().__init__(name="watcher")
        self._client = client
        self._positions = positions
        self._newest = positions.first - 1
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            since = datetime.now(UTC) - timedelta(seconds=WINDOW_S)
            # The first comparison is with a constant, so that the index of offsets passes over what is old.
            self._look(
                f"offset > {self._newest.min()} AND offset > arrayElement({self._newest.tolist()}, partition + 1) "
                f"AND created_at >= toDateTime64('{since:%Y-%m-%d %H:%M:%S}', 3, 'UTC')"
            )

    def _look(self, where: str) -> None:
        answer = self._client.query_arrow(f"SELECT partition, offset FROM interactions WHERE {where}")
        now = time.monotonic()
        partition, offset = (answer.column(name).to_numpy() for name in ("partition", "offset"))
        np.maximum.at(self._newest, partition, offset)
        place = offset - self._positions.first[partition]
        fresh = np.isnan(self._positions.seen[partition, place])
        self._positions.seen[partition[fresh], place[fresh]] = now

    def wait_for_all(self) -> None:
        """Waits for a while until all that was sent has been seen; then looks for what the window has passed over."""
        deadline = time.monotonic() + 10
        while self._positions.left() and time.monotonic() < deadline:
            time.sleep(0.2)
        self.stop()
        self._look(f"offset >= arrayElement({self._positions.first.tolist()}, partition + 1)")

    def stop(self) -> None:
        self._ended.set()
        self.join()
