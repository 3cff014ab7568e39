"""Labels for what landed without one: newest first, while the worker has time, each worker the rows of its own partitions.

A label makes a new version of its row (clickhouse/row_versions.py). Which rows wait is known from the batches that landed, and
from ClickHouse: on assignment, each minute, and when more waited than were remembered. So a restart, a rebalance, a rematch and
a label that lost against a new version leave nothing behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Protocol

import polars as pl

from pipeline.batch import Partition
from pipeline.clickhouse.inserter import Inserter, TooMuchError
from pipeline.clickhouse.row_versions import COLUMNS_SQL, LABEL_CHANGES, insert_versions, label_values, minutes, numbers, quoted
from pipeline.clock import Clock, wall
from pipeline.fence import Fence, GivenUp
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.sentiment.backlog import KEPT, Backlog
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.sentiment.prepare import LONGEST
from schemas import events
from schemas.labels import COLUMNS, DEFERRED
from schemas.times import TIME

NAME = "labels"
SWEEP_S = 60.0
CHUNK_ROWS = 1_000
"""Rows of one statement, about."""
WRITE_S = 2.0
"""A statement goes after this time at the latest."""
SLICE_S = 0.25
"""Time of the model between two looks whether a batch came; a stop waits as long."""
IDLE_S = 0.2
URGENT_S = 120.0
log = logging.getLogger("earshot.labels")


class LabelListener(Protocol):
    """Who hears of labels that come later; both block until it has."""

    def found(self, rows: pl.DataFrame, generation: int) -> None:
        """These rows (single.JUDGED) are about to have these labels."""
        ...

    def touched(self, rows: pl.DataFrame, generation: int) -> None:
        """They have them."""
        ...


class DeferredLabeller:
    """Runs on a thread of its own from `start` until `stop`; what it can't survive goes to `fail`.

    `spare(urgent)` says whether the worker has time; it is urgent when some rows have waited for URGENT_S, as where more text
    comes all the time than fits into the batches' share. Blocks while ClickHouse is away. What a generation's end or a lost
    partition interrupts is found again in ClickHouse by whoever owns the partition.
    """

    def __init__(
        self, labeller: Labeller, inserter: Inserter, told: LabelListener, fence: Fence, vitals: Vitals, topic: str,
        spare: Callable[[bool], bool], fail: Callable[[BaseException], None], clock: Clock = wall,
    ) -> None:  # fmt: skip
        self._told = told
        self._labeller, self._inserter, self._fence, self._vitals = labeller, inserter, fence, vitals
        self._topic, self._spare, self._fail, self._clock = topic, spare, fail, clock
        self._backlog = Backlog()
        self._owned: frozenset[int] = frozenset()
        self._columns: list[str] = []
        self._sweep_at = 0.0
        self._slice = 16
        self._waiting, self._oldest, self._since = 0, 0.0, 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        metrics.DEFERRED_AGE.set_function(self._age)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns soon; what is being written may be written or not."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(SLICE_S + 1)

    def own(self, places: Collection[Partition]) -> None:
        """These partitions are ours from now on: what waits in them is looked up. From the poll thread."""
        self._owned |= {partition for _, partition in places}
        self._sweep_at = 0.0

    def forget(self, places: Collection[Partition] | None) -> None:
        """These, or all, are another worker's: no write for them starts any more. Waits a moment for one that runs.

        One that takes longer may be made by both: the same version with the same label. From the poll thread.
        """
        gone = self._owned if places is None else {partition for _, partition in places}
        self._owned -= gone
        self._backlog.forget(gone)
        self._sweep_at = 0.0
        if not self._owned:
            self._count(0, 0.0)
        if gone:
            self._inserter.quiet(1.0)

    def landed(self, rows: pl.DataFrame) -> None:
        """These rows are in ClickHouse: those that wait are remembered. From any thread."""
        waiting = rows.filter(pl.col("sentiment_status") == DEFERRED)
        if waiting.height:
            self._backlog.add(waiting)
            self._count(self._waiting + waiting.height, self._oldest if self._waiting else self._clock())

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    worked = self._turn()
                except GivenUp:
                    worked, self._sweep_at = False, 0.0
                if not worked:
                    self._vitals.idle(NAME)
                    self._stopping.wait(IDLE_S)
        except BaseException as error:
            self._fail(error)

    def _turn(self) -> bool:
        """Whether there was something to do."""
        if self._owned and time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_S
            self._sweep()
        if not self._has_time():
            return False
        if not len(self._backlog):
            if self._backlog.cut:
                self._backlog.cut, self._sweep_at = False, 0.0
            return False
        generation = self._fence.generation
        taken = self._backlog.take(CHUNK_ROWS)
        rows = self._read(taken)
        labels = self._label(rows)
        done = labels.get_column("sentiment_status") != DEFERRED
        self._backlog.add(taken.join(rows.filter(~done), on="event_key", how="semi"))
        self._write(rows.filter(done), labels.filter(done), generation)
        self._count(self._waiting - (taken.height - rows.height) - int(done.sum()), self._oldest)
        return True

    def _sweep(self) -> None:
        owned = self._owned
        where = f"topic = {quoted(self._topic)} AND partition IN ({','.join(map(str, owned))}) AND {_WAITS}"
        count, oldest = self._inserter.query(_COUNT.format(where=where)).row(0)
        self._count(count, oldest)
        if count:
            self._backlog.add(self._inserter.query(_KEYS.format(where=where)).with_columns(pl.col("created_at").cast(TIME)))
            self._backlog.cut = count > KEPT
            self._backlog.forget(owned - self._owned)

    def _read(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Of these rows those that still wait, with what they say."""
        place = minutes(keys.get_column("created_at"))
        return self._inserter.query(_TEXTS.format(place=place, keys=numbers(keys.get_column("event_key"))))

    def _label(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The labels of the first rows; those that there was no time for are still deferred.

        A slice is as many texts as the model reads in SLICE_S, not what it has begun by then: so a slow model gets on, too.
        """
        labels, end = [pl.DataFrame(schema=COLUMNS)], time.monotonic() + WRITE_S
        done = 0
        while done < rows.height and time.monotonic() < end and self._has_time() and not self._stopping.is_set():
            self._vitals.busy(NAME)
            part, started = rows.slice(done, self._slice), time.monotonic()
            labels.append(self._labeller.label(part.get_column("read"), part.get_column("language")))
            took = time.monotonic() - started
            metrics.DEFERRED_SECONDS.inc(took)
            self._slice = max(1, min(CHUNK_ROWS, self._slice * 2 if took < SLICE_S / 2 else int(self._slice * SLICE_S / took)))
            done += part.height
        left = pl.repeat(DEFERRED, rows.height - done, eager=True).alias("sentiment_status").to_frame()
        return pl.concat([*labels, left], how="diagonal")

    def _write(self, rows: pl.DataFrame, labels: pl.DataFrame, generation: int) -> None:
        if not rows.height:
            return
        self._columns = self._columns or self._inserter.query(COLUMNS_SQL).get_column("name").to_list()
        labelled = rows.with_columns(labels.get_columns())
        self._told.found(labelled, generation)
        self._insert(rows, labels, generation)
        self._told.touched(labelled, generation)
        metrics.count_labels(labels)

    def _insert(self, rows: pl.DataFrame, labels: pl.DataFrame, generation: int) -> None:
        """Makes the versions, all in one statement when the server gives it the time."""
        place, where = minutes(rows.get_column("created_at")), f"{_WAITS} AND {LABEL_CHANGES}"
        statement = insert_versions(self._columns, rows, label_values(labels), events.LABEL_STEP, place, where)
        partitions = set(rows.get_column("partition"))

        def may() -> None:
            if not partitions <= self._owned:
                raise GivenUp

        try:
            self._inserter.insert_versions(statement, generation, may, whole=rows.height == 1)
        except TooMuchError:
            half = rows.height // 2
            self._insert(rows[:half], labels[:half], generation)
            self._insert(rows[half:], labels[half:], generation)

    def _has_time(self) -> bool:
        return self._spare(self._waiting > 0 and self._clock() - self._since > URGENT_S)

    def _count(self, waiting: int, oldest: float) -> None:
        if waiting > 0 and not self._waiting:
            self._since = self._clock()
        self._waiting, self._oldest = max(0, waiting), oldest
        metrics.DEFERRED_NOW.set(self._waiting)

    def _age(self) -> float:
        return max(0.0, self._clock() - self._oldest) if self._waiting else 0.0


_WAITS = f"sentiment_status = '{DEFERRED}'"
_COUNT = "SELECT count() AS n, toUnixTimestamp64Milli(min(ingested_at)) / 1000 AS oldest FROM interactions FINAL WHERE {where}"
_KEYS = (
    "SELECT event_key, created_at, partition FROM interactions FINAL WHERE {where} "
    f"ORDER BY toStartOfMinute(created_at) DESC, created_at DESC LIMIT {KEPT}"
)
_TEXTS = f"""
SELECT {", ".join(JUDGED)}, revision, partition, read FROM
(
    SELECT {", ".join(JUDGED)}, revision, partition, leftUTF8(text, {LONGEST}) AS read, sentiment_status
    FROM interactions WHERE {{place}} AND event_key IN {{keys}} ORDER BY version DESC LIMIT 1 BY event_key
)
WHERE is_deleted = 0 AND {_WAITS}
ORDER BY created_at DESC"""
