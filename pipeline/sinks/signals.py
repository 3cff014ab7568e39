"""Signals: what a worker tells the alert evaluator, to topic `signals`, acknowledged.

They follow the insert and precede the commit, so that each landing is told once or more; a signal that comes twice changes
nothing (pipeline/processors/alerts/signal.py). One landing is one signal, however many batches landed together. What landed
before a kill, and may not have been told, is read back from the table and told with the batch that read it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline import metrics
from pipeline.batch import EventBatch
from pipeline.fence import Fence
from pipeline.health import Vitals
from pipeline.processors.alerts.signal import Candidate, Signal, by_minute, dump
from pipeline.processors.alerts.single import SingleEvent, touched

log = logging.getLogger("earshot.kafka")
QUIET_S = 1.0
"""While events land that name no brand, a signal goes this often all the same: it moves the evaluator's watermark."""


class Signals:
    """Blocks until the topic has them; raises GivenUp when their generation is over. For one thread, `name`d as its signs of
    life are."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        fence: Fence,
        vitals: Vitals,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # What is sent is waited for: lingering would only make an alert late.
        self._config = {
            **client, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "log_level": 0,
            "error_cb": lambda error: None,
        }  # fmt: skip
        self._producer: Producer | None = None
        self._topic, self._name = topic, name
        self._fence, self._vitals, self._clock = fence, vitals, clock
        self._why = ""
        self._quiet_until = 0.0

    def send(self, signal: Signal, generation: int) -> None:
        """On return it is in the topic; one that says nothing but that time goes on is left out more than once a second."""
        if not signal.touched and not signal.candidates and (signal.newest is None or self._clock() < self._quiet_until):
            return
        self._fence.check(generation)
        started, left, tries = time.monotonic(), dump(signal), 0
        metrics.SIGNALS.inc(len(left))
        while left := self._produce(left, generation):
            tries += 1
            if tries in (1, 5) or tries % 30 == 0:
                log.warning("topic %s takes no signals: %s; try %d, will be repeated", self._topic, self._why, tries)
            self._vitals.hold("signals", self._why)
            self._vitals.busy(self._name)
            time.sleep(min(2.0, 0.1 * 2**tries))
            self._fence.check(generation)
        self._vitals.clear("signals")
        self._quiet_until = self._clock() + QUIET_S
        metrics.SIGNAL_SECONDS.observe(time.monotonic() - started)

    def _produce(self, records: list[bytes], generation: int) -> list[bytes]:
        """Produces the records; returns those that were not acknowledged."""
        failed: list[bytes] = []
        if self._producer is None:
            self._producer = Producer(self._config)
        producer = self._producer
        for record in records:

            def delivered(error: KafkaError | None, _: Message | None, record: bytes = record) -> None:
                if error is not None:
                    self._why = error.str()
                    failed.append(record)

            try:
                producer.produce(self._topic, record, on_delivery=delivered)
            except (BufferError, KafkaException) as error:
                self._why = str(error)
                failed.append(record)
        while len(producer):
            self._vitals.busy(self._name)
            self._fence.check(generation)
            producer.flush(0.2)
        if failed:
            # One that has met a fatal error takes nothing any more.
            self._producer = None
        return failed


class Table(Protocol):
    """Where what landed before is read back from."""

    def as_landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of changes (batch.replayed) as SingleEvent.judge wants them."""
        ...


class Tell:
    """Tells of landings. For the landing agent."""

    def __init__(self, signals: Signals, rules: SingleEvent, table: Table) -> None:
        self._signals, self._rules, self._table = signals, rules, table

    def landed(self, batches: Sequence[EventBatch]) -> None:
        """These batches' rows are in ClickHouse, together. Blocks, and raises, as Signals.send does."""
        rows = [batch.events for batch in batches if batch.events.height]
        candidates = [candidate for batch in batches for candidate in _accepted(batch)]
        again = [batch.replayed for batch in batches if batch.replayed is not None]
        if again:
            known = self._table.as_landed(pl.concat(again).unique("revision", maintain_order=True))
            metrics.REPLAYED.inc(known.height)
            if known.height:
                candidates += self._rules.judge(known)
                rows.append(known)
        if rows:
            times = [origin.last_ms for batch in batches for origin in batch.origins if origin.last_ms]
            self._signals.send(_signal(rows, candidates, max(times, default=None)), batches[0].generation)


class TellOfLabels:
    """Tells of labels that rows got after they landed. For the thread that writes them (sentiment/deferred.py).

    What a rule finds goes before the label is written, for a row that has its label is not looked at again; what was touched
    goes after it, for whoever hears of it reads the row.
    """

    def __init__(self, signals: Signals, rules: SingleEvent) -> None:
        self._signals, self._rules = signals, rules

    def found(self, rows: pl.DataFrame, generation: int) -> None:
        """These rows (single.JUDGED) are about to have these labels."""
        if candidates := self._rules.judge_labelled(rows):
            self._signals.send(Signal(candidates=_once(candidates)), generation)

    def touched(self, rows: pl.DataFrame, generation: int) -> None:
        """They have them."""
        self._signals.send(Signal(touched=_touched([rows])), generation)


def _signal(rows: Sequence[pl.DataFrame], candidates: Sequence[Candidate], kafka_ms: int | None) -> Signal:
    # A tombstone does not say when it happened.
    alive = pl.col("occurred_at").filter(pl.col("is_deleted") == 0).max()
    newest = max((time for frame in rows if (time := frame.select(alive).item()) is not None), default=None)
    return Signal(newest, kafka_ms, _touched(rows), _once(candidates))


def _touched(rows: Sequence[pl.DataFrame]) -> dict[datetime, tuple[str, ...]]:
    pairs = pl.concat([touched(frame) for frame in rows]).unique().sort("minute", "brand")
    return by_minute(pairs.iter_rows())


def _once(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Each rule, brand and event once, as it is last."""
    found = tuple({(each.rule, each.brand, each.event_key): each for each in candidates}.values())
    for candidate in found:
        metrics.CANDIDATES.labels("keyword" if candidate.words else "reach").inc()
    return found


def _accepted(batch: EventBatch) -> list[Candidate]:
    """The candidates of the batch, but for rows that ClickHouse refused."""
    if not batch.candidates or not any(letter.step == "clickhouse" for letter in batch.rejected):
        return batch.candidates
    there = set(batch.events.select("event_key", "occurred_at").iter_rows())
    return [candidate for candidate in batch.candidates if (candidate.event_key, candidate.occurred_at) in there]
