"""Reads the changes of alerts from topic `alerts` in a thread: the last ones at the start, then each as it comes.

It commits nothing. After an outage it goes on where it was; where Kafka has that place no longer, it says that it begins anew.
A partition that the topic gets later is read from the next start on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from threading import Event, Thread
from typing import NamedTuple, Protocol

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import TopicDescription

from pipeline.config.settings import KafkaSettings
from pipeline.errors import EarshotError, MigrationError
from pipeline.kafka.client import TopicId, check_kafka, error_text, kafka_reason
from pipeline.queries.alert_tail import reached, tail_config
from schemas.alerts import Alert, parse_alert
from schemas.untyped import Row

POLL_S, CATCH_UP_S, RETRY_S, PATIENCE_S = 0.5, 0.05, 1.0, 5.0
"""An idle broker answers each half second; one that did not for so long is away."""
ASK_S, JOIN_S = 5.0, 3.0
SAME_S = 5.0
"""How often it is asked whether the topic is still the same: one that was made anew is read on without an error, at places that
were of the old one."""
AT_ONCE = 500
log = logging.getLogger("earshot.console")

Places = Mapping[int, int]
"""Partition -> the offset of the next record."""


class Change(NamedTuple):
    """A record of the topic."""

    partition: int
    offset: int
    alert: Alert | None
    """None: it is no alert."""


class State(NamedTuple):
    """Whether Kafka answers."""

    away_since: datetime | None
    """None: it does."""
    reason: str


def as_json(state: State) -> str:
    """`{"away_since": "2026-11-29T10:00:00+00:00", "reason": "..."}`; null while Kafka answers."""
    return orjson.dumps(state._asdict()).decode()


class Heard(Protocol):
    """Who is told, in the thread that reads."""

    def begun(self, places: Places, ends: Places, topic: str) -> None:
        """From `places` on, at the start and when what was to come next can't be had; behind `ends` it is news. `topic`: the
        topic's id."""

    def whole(self) -> None:
        """All that was there when it began has been told."""

    def came(self, changes: Sequence[Change]) -> None:
        """In their order within each partition."""

    def lost(self, reason: str, ago: float) -> None:
        """No broker has answered for `ago` seconds. Said once or more often in an outage."""

    def answered(self) -> None:
        """A broker answers. Said about once a second."""


class Changes:
    """The reader; begins with the last `back` records of each partition."""

    def __init__(self, kafka: KafkaSettings, heard: Heard, back: int) -> None:
        self._kafka, self._heard, self._back = kafka, heard, back
        self._topic = kafka.topic("alerts")
        self._next: dict[int, int] = {}
        self._of = ""
        """The id of the topic in which these are places."""
        self._stop = Event()
        self._thread = Thread(target=self._run, name="changes of alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for the thread, for some seconds: a question to Kafka may be under way."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except KafkaException as error:
                self._heard.lost(f"Kafka at {self._kafka.bootstrap}: {kafka_reason(error)}", 0.0)
            except EarshotError as error:
                self._heard.lost(str(error), 0.0)
            except Exception:  # of a page's own function; the thread lives on
                log.exception("changes of alerts")
            self._stop.wait(RETRY_S)

    def _follow(self) -> None:
        partitions = check_kafka(self._kafka).get(self._topic)
        if partitions is None:
            raise MigrationError(f"Kafka at {self._kafka.bootstrap} has no topic {self._topic}: run `earshot migrate`")
        watch = {"error_cb": self._failed, "stats_cb": self._counted, "statistics.interval.ms": 1000}
        consumer = Consumer({**tail_config(self._kafka), **watch, "auto.offset.reset": "error"})
        try:
            watched = TopicId(self._kafka, self._topic)
            places, ends = self._begin(consumer, partitions, watched.told(watched.ask(ASK_S)))
            consumer.assign([TopicPartition(self._topic, n, offset) for n, offset in places.items()])
            self._heard.answered()
            whole, same = False, _Same(watched, self._of)
            while not self._stop.is_set() and same():
                if not whole and (whole := reached(consumer, ends)):
                    self._heard.whole()
                first = consumer.poll(POLL_S if whole else CATCH_UP_S)
                if first is not None:
                    self._came([first, *consumer.consume(AT_ONCE, 0)])
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer, partitions: int, of: str) -> tuple[Places, Places]:
        """Where each partition of topic `of` is read from: where it was, or the last records; and where it ends now, if that is
        not there."""
        bounds = dict[int, tuple[int, int]]()
        for n in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, n), timeout=ASK_S)
            bounds[n] = (low, high)
        same = of == self._of and self._next.keys() == bounds.keys()
        ends = {n: high for n, (_, high) in bounds.items()}
        if not (same and all(low <= self._next[n] <= high for n, (low, high) in bounds.items())):
            self._next, self._of = {n: max(low, high - self._back) for n, (low, high) in bounds.items()}, of
            self._heard.begun(dict(self._next), ends, of)
        return self._next, {n: end for n, end in ends.items() if self._next[n] < end}

    def _came(self, messages: Sequence[Message]) -> None:
        changes = list[Change]()
        for message in messages:
            if error := message.error():
                raise KafkaException(error)
            changes.append(Change(message.partition() or 0, message.offset() or 0, parse_alert(message.value())))
        self._heard.came(changes)
        self._next |= {partition: offset + 1 for partition, offset, _ in changes}

    def _failed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._heard.lost(f"Kafka at {self._kafka.bootstrap}: no broker answers", 0.0)
        else:
            log.debug("Kafka: %s", error_text(error))

    def _counted(self, stats: str) -> None:
        silent, up = silence(orjson.loads(stats), time.monotonic())
        if silent > PATIENCE_S:
            self._heard.lost(f"Kafka at {self._kafka.bootstrap}: no broker answers", silent)
        elif up:
            self._heard.answered()


class _Same:
    """Whether the topic is the one that it was, as far as is known: asked each SAME_S, without waiting for the answer."""

    def __init__(self, topic: TopicId, of: str) -> None:
        self._topic, self._of, self._due = topic, of, time.monotonic() + SAME_S
        self._asked: Future[TopicDescription] | None = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._asked is None and now >= self._due:
            self._asked = self._topic.ask(ASK_S)
        elif self._asked is not None and self._asked.done():
            answer, self._asked, self._due = self._asked, None, now + SAME_S
            return answer.exception() is not None or TopicId.told(answer) == self._of
        return True


def silence(stats: Row, now: float) -> tuple[float, bool]:
    """For how long a broker with partitions of ours has not answered, and whether there is one and all are connected; from
    librdkafka's statistics, at this time of its clock.

    A request is under way at any time, as the reader waits for records, and an empty answer comes soon.
    """
    leaders = [broker for broker in stats["brokers"].values() if broker["toppars"] and broker["rxidle"] >= 0]
    waited = now - stats["ts"] / 1e6  # the statistics waited for the thread that polls
    idle = max((broker["rxidle"] / 1e6 for broker in leaders), default=0.0)
    return idle + (waited if 0 < waited < 60 else 0.0), bool(leaders) and all(broker["state"] == "UP" for broker in leaders)
