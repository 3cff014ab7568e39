"""Dedup: an event whose revision is known is a duplicate.

A revision is the XXH3-64 of (event_key, occurred_at, operation, every field that can change) of the record as it came, so a
redelivery has the same one whatever its bytes look like, and likes going 5, 6, 5 at three times are three. Addresses are keyed
hashes by then (processors/privacy.py): all else that a revision is made of stands in its row, so it would prove a guess of one.

Two sets are known: *pending* (batches on their way) and *stored* (their insert returned, or ClickHouse had them on
assignment). The step skips an event by its revision, never by its position: positions repeat when a topic is created anew.

Beside the revisions the keys of their events are known, in a set of the same kind: a create of a known event whose revision is
not known is a second create, which the step marks (processors/second_creates.py).

A worker may die between an insert and its signals, so rows at or past the committed offset may be in ClickHouse without a
signal. Their records are duplicates like any other, and noted in `batch.replayed`: the worker publishes their signal with the
batch, for some of them a second time.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
import polars as pl
import xxhash

from pipeline.batch import EventBatch, Partition
from pipeline.processors.keys import Keys, KeySet, Mask
from pipeline.processors.pending_keys import PendingKeys
from schemas import events

DUPLICATE = "duplicate"
AGAIN = "again"
"""Column (Boolean) of batches that hold one: creates of events that are known."""
UNPUBLISHED_KEYS = 1_000_000
"""Most revisions without a signal that the index remembers: 8 MB. A worker that dies leaves those of its batches on their way,
some 60,000; there are more only after somebody has set a group's offsets back."""
_CHANGING = [f for f in events.FIELDS if f.group != "fixed"]


class _OnItsWay(NamedTuple):
    revisions: Keys
    new_events: Keys
    events: Keys


class RevisionIndex:
    """The revisions that are known, and their events (a BatchMemory). Thread-safe: the dedup agent asks, the landing agent
    reports.

    Restart: empty, and seeded from ClickHouse on assignment. `stored` and `events` drop their oldest keys (KeySet); what is
    pending stays until its batch ends.
    """

    def __init__(self, stored: KeySet, unpublished_keys: int = UNPUBLISHED_KEYS) -> None:
        self.stored, self.events = stored, stored.empty()
        self._unpublished_keys = unpublished_keys
        self._on_their_way: dict[int, _OnItsWay] = {}
        self._pending, self._pending_events = PendingKeys(), PendingKeys()
        self._unpublished: Keys = np.zeros(0, np.uint64)
        # Changes that waited, so that they were known, and that ClickHouse refused in the end: their letters may be replayed.
        self._refused: Keys = np.zeros(0, np.uint64)
        self._lock = threading.Lock()

    def known(self, revisions: Keys) -> Mask:
        with self._lock:
            known = self.stored.contains(revisions)
            if len(self._refused):
                known &= ~np.isin(revisions, self._refused)
            return known | self._pending.contains(revisions)

    def known_events(self, keys: Keys) -> Mask:
        """Which of these events have landed, by their create or a change, or are on their way by their create."""
        with self._lock:
            return self.events.contains(keys) | self._pending_events.contains(keys)

    def start(self, batch_id: int, revisions: Keys, new_events: Keys, events: Keys) -> None:
        """The batch is on its way: its revisions are pending, and the events that it creates. `events`: those that are known,
        of its changes."""
        with self._lock:
            self._on_their_way[batch_id] = _OnItsWay(revisions, new_events, events)
            self._pending.start(batch_id, revisions)
            self._pending_events.start(batch_id, new_events)

    def landed(self, batch: EventBatch, refused: Keys) -> None:
        """Its revisions are stored, except those that ClickHouse refused: of the batch, or of changes that had waited."""
        ended = self._on_their_way.get(batch.id)
        if ended is not None:
            revisions = ended.revisions
            if len(refused) or len(self._refused):
                with self._lock:
                    waited = np.setdiff1d(refused, revisions)
                    self._refused = np.union1d(np.setdiff1d(self._refused, revisions), waited)
                revisions = np.setdiff1d(revisions, refused)
            self.stored.extend(revisions)
            self.events.extend(ended.new_events)
            self.events.renew(ended.events)
        with self._lock:
            self._on_their_way.pop(batch.id, None)
            self._pending.landed(batch.id)
            self._pending_events.landed(batch.id)
            if len(refused):
                self._pending.forget()

    def given_up(self, batch: EventBatch) -> None:
        with self._lock:
            self._on_their_way.pop(batch.id, None)
            self._pending.given_up(batch.id)
            self._pending_events.given_up(batch.id)

    def left(self, partitions: set[Partition] | None) -> None:
        """Revisions of partitions that left stay known, which does no harm; without any partition no revision is pending."""
        if partitions is None:
            with self._lock:
                self._on_their_way.clear()
                self._pending.clear()
                self._pending_events.clear()
                self._unpublished = np.zeros(0, np.uint64)

    def seed(self, revisions: Keys, events: Keys) -> None:
        """These revisions are stored, and rows of these events."""
        self.stored.add(revisions)
        self.events.add(events)

    def nbytes(self) -> int:
        return self.stored.nbytes() + self.events.nbytes()

    def mark_unpublished(self, revisions: Keys) -> None:
        """These are stored, maybe without a signal; the newest first, of which the index remembers `unpublished_keys`."""
        with self._lock:
            together = np.concatenate([revisions, self._unpublished])
            self._unpublished = np.unique(together[: self._unpublished_keys])

    def take_unpublished(self, revisions: Keys) -> Mask | None:
        """Mask of the revisions whose signal may still have to be published; None: none of them.

        They are removed here: the caller publishes their signal. If it gives up its batch, the partition is seeded anew.
        """
        with self._lock:
            if not len(self._unpublished):
                return None
            at = np.minimum(np.searchsorted(self._unpublished, revisions), len(self._unpublished) - 1)
            marked: Mask = self._unpublished[at] == revisions
            self._unpublished = np.delete(self._unpublished, at[marked])
        return marked


class Dedup:
    """The step. Adds columns `revision` (UInt64) and AGAIN; drops as "duplicate"; sets `batch.replayed`."""

    name = "dedup"

    def __init__(self, index: RevisionIndex) -> None:
        self._index = index

    def process(self, batch: EventBatch) -> EventBatch:
        revision = revisions(batch.events)
        batch.events = batch.events.with_columns(revision)
        keys = revision.to_numpy()
        known = ~revision.is_first_distinct() | pl.Series(self._index.known(keys))
        unpublished = self._index.take_unpublished(keys)
        if unpublished is not None and unpublished.any():
            batch.replayed = _noted(batch, batch.events.filter(pl.Series(unpublished)).unique("revision", keep="first"))
        batch.drop(known, DUPLICATE)
        self._mark(batch)
        return batch

    def _mark(self, batch: EventBatch) -> None:
        """Marks the second creates, and says to the index which revisions and events are on their way."""
        rows = batch.events
        keys = rows.get_column("event_key").to_numpy()
        there = self._index.known_events(keys)
        create = (rows.get_column("operation") == "create").to_numpy()
        first = np.flatnonzero(create & ~there)
        first = first[pl.Series(keys[first]).is_first_distinct().to_numpy()]
        again = create.copy()
        again[first] = False
        if again.any():
            batch.events = rows.with_columns(pl.Series(AGAIN, again))
        self._index.start(batch.id, rows.get_column("revision").to_numpy(), keys[first], keys[there])


def _noted(batch: EventBatch, rows: pl.DataFrame) -> pl.DataFrame:
    said_at = pl.coalesce("occurred_at", "created_at").alias("said_at")
    return rows.select("event_key", "revision", "created_at", said_at, batch.kafka_ms(rows.get_column("row")))


def revisions(frame: pl.DataFrame) -> pl.Series:
    """Column `revision`: stored, and compared across restarts and machines.

    The hashed text names each field that is present by a code point of its own, so it does not depend on which other fields
    the batch happens to hold. 0x1F and 0x1E separate fields and list items, as in ASCII.
    """
    parts: list[pl.Expr] = [
        pl.col("event_key").cast(pl.String),
        pl.lit("\x1f!"),
        # A create without a time happened when its event was created, as one that says so.
        pl.coalesce("occurred_at", "created_at").dt.epoch("ms").cast(pl.String),
        pl.lit("\x1f#"),
        pl.col("operation"),
    ]
    for number, field in enumerate(_CHANGING):
        nulls = frame.get_column(field.column).null_count()
        if nulls == frame.height:
            continue
        value = pl.col(field.column)
        if field.kind == "strings":
            value = value.list.join("\x1e")
        elif field.kind != "string":
            value = value.cast(pl.String)
        code = pl.lit("\x1f" + chr(ord("A") + number))
        parts += [pl.concat_str(code, value)] if nulls else [code, value]
    texts = frame.select(pl.concat_str(parts, ignore_nulls=True)).to_series().cast(pl.Binary).to_list()
    return pl.Series("revision", np.fromiter(map(xxhash.xxh3_64_intdigest, texts), np.uint64, len(texts)))
