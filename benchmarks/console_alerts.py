"""An alert on its way to an open page: from its record in topic alerts until a browser's stream has it.

Control writes the records as it judges the probes of benchmarks/alerts.py, beside a steady stream of events, 20 brands and 50
rules; one person has page Now open. A record's time is when control handed it over, in whole milliseconds.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.alerts import latencies
from benchmarks.console_process import HOST, Console
from benchmarks.ground import Ground, ground
from benchmarks.report import MS, Figure
from benchmarks.visible import Times
from pipeline.config.settings import Settings
from pipeline.queries.alert_tail import tail_config
from schemas.alerts import State, parse_alert
from schemas.times import to_ms

NAMES = ("console.alert_p99_ms",)
PATIENCE_S, POLL_S = 60.0, 0.2
_TOLD = re.compile(rb'id="alert-([0-9a-f]{16})".*? data-at="(\d+)"')
Change = tuple[str, int]
"""An alert, and when it was changed in ms."""


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    """`rate` events a second beside."""
    pages = list[Page]()
    with ground() as stage:

        @contextmanager
        def beside(settings: Settings) -> Iterator[None]:
            with opened(stage, settings) as page:
                pages.append(page)
                yield

        latencies(stage, stage.topic(1), rate, seconds, beside)
    times = pages[0].took()
    conditions = (
        f"{len(times):,} changes of alerts beside {rate:,} events/s for {seconds} s, from the record until a stream has it; "
        f"median {np.percentile(times, 50):,.0f} ms, max {times.max():,.0f}"
    )
    yield Figure(NAMES[0], float(np.percentile(times, 99)), MS, conditions)


class Page:
    """An open stream, and a reader of topic alerts beside it: when each change was written, and when it was told."""

    def __init__(self, settings: Settings, port: int, cookie: str) -> None:
        self.written: dict[Change, float] = {}
        self.told: dict[Change, float] = {}
        self._settings, self._cookie = settings, cookie
        self._stream = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
        self._stop, self._reads = Event(), Event()
        self._threads = [Thread(target=self._hear, name="page"), Thread(target=self._read, name="topic")]

    def __enter__(self) -> Page:
        self._stream.request("GET", "/now/stream", headers={"Cookie": self._cookie, "Accept": "text/event-stream"})
        self._answer = self._stream.getresponse()
        for thread in self._threads:
            thread.start()
        if not self._reads.wait(PATIENCE_S):
            raise RuntimeError("topic alerts can't be read")
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for what was written and not told yet."""
        end = time.monotonic() + PATIENCE_S
        while self.written.keys() - self.told.keys() and time.monotonic() < end:
            time.sleep(POLL_S)
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._stream.close()

    def took(self) -> Times:
        """Milliseconds of each change. Raises RuntimeError when one was never told."""
        if missed := self.written.keys() - self.told.keys():
            raise RuntimeError(f"{len(missed)} of {len(self.written)} changes were never told, as {min(missed)}")
        return np.array([(self.told[each] - at) * 1000 for each, at in self.written.items()])

    def _hear(self) -> None:
        while not self._stop.is_set() and (line := self._answer.readline()):  # a beat comes each 4 s
            for key, at in _TOLD.findall(line):
                self.told.setdefault((key.decode(), int(at)), time.time())

    def _read(self) -> None:
        kafka = self._settings.kafka
        consumer = Consumer(tail_config(kafka))
        topic = kafka.topic("alerts")
        consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(kafka.partitions)])
        self._reads.set()
        while not self._stop.is_set():
            message = consumer.poll(POLL_S)
            alert = None if message is None or message.error() else parse_alert(message.value())
            if message is not None and alert is not None and alert.state is not State.PENDING and not alert.historical:
                self.written.setdefault((alert.hex, to_ms(alert.changed_at)), message.timestamp()[1] / 1000)
        consumer.close()


@contextmanager
def opened(stage: Ground, settings: Settings) -> Iterator[Page]:
    """A console, and somebody who has page Now open until the end of the block."""
    with Console(stage, settings) as console, Page(settings, console.port, console.log_in()) as page:
        yield page
