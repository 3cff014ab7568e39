"""EventBatch: the value that travels through the pipeline.

A batch names its concerns: `events` (the frame), `rejected` (its dead letters), `dropped` (how many rows left, and why) and
`origins` (the offsets it covers). Steps change `events`; the rest follows by `drop` and `reject`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.monitoring.reject_reasons import UNREADABLE_STEP
from pipeline.records import Records
from schemas.signals import Candidate

Partition = tuple[str, int]
"""(topic, number)"""


class Origin(NamedTuple):
    """The offsets of one partition that a batch covers, both ends included."""

    topic: str
    partition: int
    first: int
    last: int
    first_ms: int = 0
    """Kafka's time of the first record, ms since 1970; as EventBatch.timestamps."""
    last_ms: int = 0


class Rejected(NamedTuple):
    """A record on its way to the dead letters: its bytes, the step and reason that refused it, and where it came from."""

    step: str
    reason: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    raw: bytes


class Unreadable(NamedTuple):
    """Offsets that can't be read: a batch of records that Kafka's client can't unpack. Both ends included."""

    topic: str
    partition: int
    first: int
    last: int
    why: str

    def letter(self) -> Rejected:
        """One dead letter for all of them. It has no bytes; its step distinguishes it from an empty record in a replay."""
        reason = f"offsets {self.first} to {self.last} can't be read: {self.why}"
        return Rejected(UNREADABLE_STEP, reason, self.topic, self.partition, self.first, None, b"")


@dataclass(slots=True)
class EventBatch:
    """A micro-batch of records and the outcome of each.

    `events` has one row a record that is still on its way. Column `row` (UInt32) is the record's index in `raw` and `keys`,
    whatever the steps have filtered since; `topic`, `partition` and `offset` say where it came from. Rows that were not in
    the records (waiting changes whose event came) have a null `row`.
    """

    id: int
    events: pl.DataFrame
    raw: Records
    keys: Sequence[bytes | None]
    origins: tuple[Origin, ...]
    read: int
    generation: int = 0
    """The generation in which it was read (pipeline/fence.py)."""
    timestamps: npt.NDArray[np.int64] | None = None
    """Kafka's time of each record, ms since 1970; not after the time at which the batch was read. 0: none."""
    unreadable: list[Unreadable] = field(default_factory=list)
    """No rows; `read` counts each as one, and `origins` covers them."""
    bytes: int = 0
    """Of its records, about."""
    behind: bool = False
    """The batch is at least half full: the worker is behind, or nearly."""
    rejected: list[Rejected] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    waiting: pl.DataFrame | None = None
    """Changes of this batch whose event is not known yet: rows for table pending_changes."""
    settled_changes: pl.DataFrame | None = None
    """Changes that waited before and need not any more, because their event came or they waited too long."""
    before: pl.DataFrame | None = None
    """The events that changes of this batch are about, as they stood before: a row, or several, of completion.BEFORE."""
    candidates: list[Candidate] = field(default_factory=list)
    """Alert candidates of single-event rules."""
    evidence: pl.DataFrame | None = None
    """Edges that this worker has not sent yet (evidence.EVIDENCE_COLUMNS)."""
    replayed: pl.DataFrame | None = None
    """Changes that landed before, maybe without a signal: event_key, revision, created_at (null: not known), said_at (when it
    happened), kafka_ms."""
    erased: npt.NDArray[np.uint64] | None = None
    """Keys of events that were dropped for their author, who was erased: they are suppressed from now on."""
    handed_over: float = 0.0
    """When the step before put it into the channel (perf_counter)."""
    notes: Counter[str] = field(default_factory=Counter)
    """Facts to count that are no outcome of a row, such as unknown fields."""

    def kafka_ms(self, rows: pl.Series) -> pl.Series:
        """Column `kafka_ms`: Kafka's time of the records with these indexes; null where there is none."""
        if self.timestamps is None:
            return pl.Series("kafka_ms", [None], pl.Int64).new_from_index(0, len(rows))
        return pl.Series("kafka_ms", self.timestamps, pl.Int64).gather(rows)

    def drop(self, mask: pl.Series, reason: str) -> None:
        """Takes the rows where `mask` is true out of the batch, counted under `reason`; a null in `mask` keeps its row."""
        mask = mask.fill_null(False)
        count = int(mask.sum())
        if count:
            self.dropped[reason] += count
            self.events = self.events.filter(~mask)

    def reject(self, mask: pl.Series, reason: str | pl.Series, step: str) -> None:
        """Takes the rows where `mask` is true out of the batch and into the dead letters.

        `reason` is one text, or a series of texts as long as `events`.
        """
        mask = mask.fill_null(False)
        if not mask.any():
            return
        columns = self.events.select("row", "topic", "partition", "offset").with_columns(
            reason=reason if isinstance(reason, pl.Series) else pl.lit(reason)
        )
        for row, topic, partition, offset, why in columns.filter(mask).iter_rows():
            self.reject_record(row, why, step, topic, partition, offset)
        self.events = self.events.filter(~mask)

    def reject_record(self, row: int | None, reason: str, step: str, topic: str, partition: int, offset: int) -> None:
        """Makes a record a dead letter; `row` is its index in `raw`, None if it was not in the records of this batch."""
        key, raw = (None, None) if row is None else (self.keys[row], self.raw[row])
        self.rejected.append(Rejected(step, reason, topic, partition, offset, key, raw or b""))


class Assigned(NamedTuple):
    """A partition that this worker just got, and its committed offset (None: there is none)."""

    topic: str
    partition: int
    committed: int | None
