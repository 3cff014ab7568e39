"""Signals from a worker to the alert evaluator and the job that fills the rollups, in topic `signals`, acknowledged.

They follow the insert and precede the commit, so each landing is published once or more; a signal that comes twice changes
nothing (schemas/signals.py). One landing is one signal, however many batches landed together. For rows that landed before a
kill, maybe without a signal, the worker reads the rows back and publishes them with the batch that read their records again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch
from pipeline.config.settings import KafkaConfig
from pipeline.fence import Fence
from pipeline.kafka.producer import Record, ReliableProducer
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.single import SingleEvent, touched
from schemas.signals import Candidate, Signal, by_minute, dump, halves, once

log = logging.getLogger("earshot.kafka")
MAX_BYTES = 1_000_000
"""Of a record: the limit of a topic without a setting of its own."""
QUIET_S = 1.0
"""A signal that touches nothing goes this often all the same, to move the evaluator's watermark."""


class Signals:
    """Blocks until the topic has them; raises GivenUp when their generation is over, EarshotError as the producer does. For one
    thread, whose signs of life bear `name`."""

    def __init__(
        self,
        client: KafkaConfig,
        topic: str,
        fence: Fence,
        vitals: Vitals,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The sender waits for each record: lingering would only make an alert late.
        config = {**client, "linger.ms": 0, "message.max.bytes": MAX_BYTES}
        self._producer = ReliableProducer(config, topic, "signals", fence, vitals, name)
        self._topic, self._clock = topic, clock
        self._quiet_until = 0.0

    def send(self, signal: Signal, generation: int) -> None:
        """On return it is in the topic; a signal that only moves the time goes once a second at most.

        A record that the topic never takes is sent in halves. A pair or candidate that is too large alone is left out: a signal
        is a hint, and the evaluator looks at all brands once a minute.
        """
        if not _touches(signal) and (signal.newest is None or self._clock() < self._quiet_until):
            return
        started, left = time.monotonic(), dump(signal)
        while left:
            metrics.SIGNALS.inc(len(left))
            left = [half for record, why in self._refused(left, generation) for half in self._halves(record, why)]
        self._quiet_until = self._clock() + QUIET_S
        metrics.SIGNAL_SECONDS.observe(time.monotonic() - started)

    def _refused(self, records: Sequence[bytes], generation: int) -> list[tuple[bytes, str]]:
        refused = self._producer.send([Record(record) for record in records], generation)
        return [(records[index], refusal.why) for index, refusal in refused.items()]

    def _halves(self, record: bytes, why: str) -> list[bytes]:
        parts = halves(record)
        if not parts:
            log.error("topic %s refuses a signal of %d bytes, which is left out: %s", self._topic, len(record), why)
        return parts


class LandedRows(Protocol):
    """Reads rows back that landed before."""

    def as_landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of changes (batch.replayed) as SingleEvent.judge wants them."""
        ...


class SignalPublisher:
    """Publishes a signal for each landing. For the landing agent."""

    def __init__(self, signals: Signals, rules: SingleEvent, table: LandedRows) -> None:
        self._signals, self._rules, self._table = signals, rules, table

    def publish(self, batches: Sequence[EventBatch]) -> None:
        """These batches' rows are in ClickHouse, together. Blocks, and raises, as Signals.send does."""
        rows = [batch.events for batch in batches if batch.events.height]
        # An event that a change takes from a brand still counts for it at the evaluator.
        before = [batch.before.join(batch.events, on="event_key", how="semi") for batch in batches if batch.before is not None]
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
            pairs = _touched([*rows, *before])
            others = tuple(minute for minute in minutes_of(rows) if minute not in pairs)
            signal = Signal(_newest(rows), max(times, default=None), pairs, _once(candidates), others)
            self._signals.send(signal, batches[0].generation)


class LabelSignals:
    """Publishes signals for labels that rows get after they landed. For the thread that writes them (sentiment/deferred.py).

    Candidates go before the label is written, because nothing looks at a labelled row again; touched brands go after it,
    because the evaluator then reads the row. Minutes go before it too: a worker may be killed in between."""

    def __init__(self, signals: Signals, rules: SingleEvent) -> None:
        self._signals, self._rules = signals, rules

    def before_write(self, rows: pl.DataFrame, generation: int) -> None:
        """These rows (single.JUDGED) are about to get these labels."""
        candidates = self._rules.judge_labelled(rows)
        self._signals.send(Signal(candidates=_once(candidates), upcoming=minutes_of([rows])), generation)

    def after_write(self, rows: pl.DataFrame, generation: int) -> None:
        """The rows have their labels."""
        self._signals.send(Signal(touched=_touched([rows])), generation)


def minutes_of(rows: Sequence[pl.DataFrame]) -> tuple[datetime, ...]:
    """The minutes of created_at of all rows, sorted."""
    if not rows:
        return ()
    return tuple(
        pl.concat([frame.select(pl.col("created_at").dt.truncate("1m")) for frame in rows]).unique().to_series().sort()
    )


def _touches(signal: Signal) -> bool:
    return bool(signal.touched or signal.candidates or signal.others or signal.upcoming)


def _newest(rows: Sequence[pl.DataFrame]) -> datetime | None:
    # A tombstone has no time of its own.
    alive = pl.col("occurred_at").filter(pl.col("is_deleted") == 0).max()
    return max((time for frame in rows if (time := frame.select(alive).item()) is not None), default=None)


def _touched(rows: Sequence[pl.DataFrame]) -> dict[datetime, tuple[str, ...]]:
    pairs = pl.concat([touched(frame) for frame in rows]).unique().sort("minute", "brand")
    return by_minute(pairs.iter_rows())


def _once(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    last = tuple(once(candidates))
    for candidate in last:
        metrics.CANDIDATES.labels("keyword" if candidate.words else "reach").inc()
    return last


def _accepted(batch: EventBatch) -> list[Candidate]:
    """The candidates of the batch, without those of rows that ClickHouse refused."""
    if not batch.candidates or not any(letter.step == "clickhouse" for letter in batch.rejected):
        return batch.candidates
    there = set(batch.events.select("event_key", "occurred_at").iter_rows())
    return [candidate for candidate in batch.candidates if (candidate.event_key, candidate.occurred_at) in there]
