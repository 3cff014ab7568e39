"""Labels for rows that landed without one: newest first, while the worker has time, each worker for its own partitions.

A label makes a new version of its row (clickhouse/row_versions.py). Waiting rows come from the batches that landed, and from
ClickHouse: on assignment, each minute, and when more wait than the backlog holds. So a restart, a rebalance, a rematch and a
label that lost against a new version leave no row without its label.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.batch import EventBatch, Partition
from pipeline.clickhouse.inserter import Inserter
from pipeline.clock import Clock, wall
from pipeline.fence import GivenUp
from pipeline.monitoring import metrics
from pipeline.processors.sentiment.backlog import KEPT, Backlog
from pipeline.processors.sentiment.deferred_rows import DeferredRows
from pipeline.processors.sentiment.labels import Labeller
from pipeline.step import Revisions
from schemas.labels import COLUMNS, DEFERRED

NAME = "labels"
WRITE_S = 2.0
"""The labels are written after this time at the latest."""
SLICE_S = 0.25
"""Time of the model between two checks for a new batch; a stop waits as long."""
IDLE_S = 0.2
log = logging.getLogger("earshot.labels")


class Pace(NamedTuple):
    """How often, how much, and when it is urgent."""

    sweep_s: float = 60.0
    """Time between two looks at ClickHouse for rows that wait."""
    chunk_rows: int = 1_000
    """Rows of one statement, about."""
    urgent_s: float = 120.0
    """Rows that wait longer are urgent."""
    kept: int = KEPT
    """Rows in the backlog."""


PACE = Pace()


class LabelListener(Protocol):
    """Is notified of labels that come later; both methods return when the notification is safe."""

    def before_write(self, rows: pl.DataFrame, generation: int) -> None:
        """These rows (single.JUDGED) are about to get these labels."""
        ...

    def after_write(self, rows: pl.DataFrame, generation: int) -> None:
        """The rows have their labels."""
        ...


class DeferredLabeller:
    """A BatchMemory, with a thread of its own from `start` until `stop`.

    `spare(urgent)` says whether the worker has time; `urgent` means that some rows have waited for `pace.urgent_s`, because
    more text comes than fits into the batches' share. Blocks while ClickHouse is away. A label that a generation's end or a
    lost partition interrupts is read from ClickHouse again by the owner of the partition. Restart: nothing is remembered."""

    def __init__(
        self,
        labeller: Labeller,
        inserter: Inserter,
        listener: LabelListener,
        topic: str,
        spare: Callable[[bool], bool],
        pace: Pace = PACE,
        clock: Clock = wall,
    ) -> None:
        self._labeller, self._inserter, self._listener = labeller, inserter, listener
        self._topic, self._spare, self._pace, self._clock = topic, spare, pace, clock
        self._backlog = Backlog(pace.kept)
        self._owned: frozenset[int] = frozenset()
        self._rows = DeferredRows(inserter, topic)
        self._sweep_at = 0.0
        self._slice = 16
        self._waiting, self._oldest, self._since = 0, 0.0, 0.0
        self._stopping = threading.Event()
        self._last_landed = 0
        self._thread: threading.Thread | None = None
        metrics.DEFERRED_AGE.set_function(self._age)

    def start(self, fail: Callable[[BaseException], None]) -> None:
        """Starts the thread; a fatal error is passed to `fail`."""
        self._thread = threading.Thread(target=self._run, args=(fail,), name=NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns soon; a statement that runs may succeed or not."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(SLICE_S + 1)

    def own(self, partitions: Collection[Partition]) -> None:
        """This worker owns these partitions from now on: it looks up their waiting rows. From the poll thread."""
        self._owned |= {number for _, number in partitions}
        self._sweep_at = 0.0

    def left(self, partitions: set[Partition] | None) -> None:
        """Starts no write for these partitions any more. Waits a moment for a write that runs.

        Both workers may make a write that takes longer: the same version with the same label. From the poll thread.
        """
        named = self._owned if partitions is None else {number for topic, number in partitions if topic == self._topic}
        gone = self._owned & named
        self._owned -= gone
        self._backlog.forget(gone)
        self._sweep_at = 0.0
        if not self._owned:
            self._count(0, 0.0)
        if gone:
            self._inserter.quiet(1.0)

    def landed(self, batch: EventBatch, refused: Revisions) -> None:
        """Remembers its rows that wait for a label. Batches land in the order of their ids."""
        if batch.id <= self._last_landed:
            return
        self._last_landed = batch.id
        waiting = batch.events.filter(pl.col("sentiment_status") == DEFERRED)
        if waiting.height:
            self._backlog.add(waiting)
            self._count(self._waiting + waiting.height, self._oldest if self._waiting else self._clock())

    def given_up(self, batch: EventBatch) -> None:
        """It remembers nothing of a batch that did not land."""

    def _run(self, fail: Callable[[BaseException], None]) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    worked = self._turn()
                except GivenUp:
                    worked, self._sweep_at = False, 0.0
                if not worked:
                    self._inserter.vitals.idle(NAME)
                    self._stopping.wait(IDLE_S)
        except BaseException as error:
            fail(error)

    def _turn(self) -> bool:
        """Labels some rows; False: there was nothing to do, or no time."""
        if self._owned and time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + self._pace.sweep_s
            self._sweep()
        if not self._has_time():
            return False
        if not len(self._backlog):
            if self._backlog.cut:
                self._backlog.cut, self._sweep_at = False, 0.0
            return False
        generation = self._inserter.fence.generation
        taken = self._backlog.take(self._pace.chunk_rows)
        rows = self._rows.read(taken)
        labels = self._label(rows)
        done = labels.get_column("sentiment_status") != DEFERRED
        self._backlog.add(taken.join(rows.filter(~done), on="event_key", how="semi"))
        self._write(rows.filter(done), labels.filter(done), generation)
        self._count(self._waiting - (taken.height - rows.height) - int(done.sum()), self._oldest)
        return True

    def _sweep(self) -> None:
        owned = self._owned
        count, oldest = self._rows.count(owned)
        self._count(count, oldest)
        if count:
            self._backlog.add(self._rows.keys(owned, self._pace.kept))
            self._backlog.cut = count > self._pace.kept
            self._backlog.forget(owned - self._owned)

    def _label(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The labels of the first rows; the others, for which there was no time, stay deferred.

        A slice has as many texts as the model reads in SLICE_S, so a slow model makes progress, too.
        """
        labels, end = [pl.DataFrame(schema=COLUMNS)], time.monotonic() + WRITE_S
        done = 0
        while done < rows.height and time.monotonic() < end and self._has_time() and not self._stopping.is_set():
            self._inserter.vitals.busy(NAME)
            part, started = rows.slice(done, self._slice), time.monotonic()
            labels.append(self._labeller.label(part.get_column("read"), part.get_column("language")))
            took = time.monotonic() - started
            metrics.DEFERRED_SECONDS.inc(took)
            fits = self._slice * 2 if took < SLICE_S / 2 else int(self._slice * SLICE_S / took)
            self._slice = max(1, min(self._pace.chunk_rows, fits))
            done += part.height
        left = pl.repeat(DEFERRED, rows.height - done, eager=True).alias("sentiment_status").to_frame()
        return pl.concat([*labels, left], how="diagonal")

    def _write(self, rows: pl.DataFrame, labels: pl.DataFrame, generation: int) -> None:
        if not rows.height:
            return
        partitions = set(rows.get_column("partition"))

        def check_ownership() -> None:
            if not partitions <= self._owned:
                raise GivenUp

        labelled = rows.with_columns(labels.get_columns())
        # Before each try: the rows may change long after the first one, and this worker may be killed then.
        tell = partial(self._listener.before_write, labelled, generation)
        self._rows.write(rows, labels, generation, check_ownership, tell)
        self._listener.after_write(labelled, generation)
        metrics.count_labels(labels)

    def _has_time(self) -> bool:
        return self._spare(self._waiting > 0 and self._clock() - self._since > self._pace.urgent_s)

    def _count(self, waiting: int, oldest: float) -> None:
        if waiting > 0 and not self._waiting:
            self._since = self._clock()
        self._waiting, self._oldest = max(0, waiting), oldest
        metrics.DEFERRED_NOW.set(self._waiting)

    def _age(self) -> float:
        return max(0.0, self._clock() - self._oldest) if self._waiting else 0.0
