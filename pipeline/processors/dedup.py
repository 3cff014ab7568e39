"""Dedup: an event whose revision is known is a duplicate.

A revision is the XXH3-64 of (event_key, occurred_at, operation, every field that can change) of the record as it came, so a
redelivery has the same one whatever its bytes look like, and likes going 5, 6, 5 at three times are three. Addresses are keyed
hashes by then (processors/privacy.py): all else that a revision is made of stands in its row, so it would prove a guess of one.

Two sets are known: *pending* (batches on their way) and *landed* (their insert returned, or seeded from ClickHouse). An event
is skipped by its revision, never by its position: positions repeat when a topic is created anew.

What landed at or past the committed offset may have landed without anybody being told: a worker may die between the insert and
its signals. Such a record is a duplicate as any other, and noted in `batch.replayed`, so that it is told with the batch, maybe
again.
"""

from __future__ import annotations

import threading

import numpy as np
import polars as pl
import xxhash

from pipeline.batch import EventBatch
from pipeline.processors.keys import Keys, KeySet, KeyTable, Mask
from schemas import events

DUPLICATE = "duplicate"
UNTOLD_KEYS = 1_000_000
"""How many revisions it remembers at most of which nobody may have been told: 8 MB. A worker leaves those of its batches on
their way behind, some 60,000; more are there only when a group's offsets were set back."""
_CHANGING = [f for f in events.FIELDS if f.group != "fixed"]


class RevisionIndex:
    """The revisions that are known. Thread-safe: the dedup agent asks, the landing agent tells.

    Restart: empty, and seeded from ClickHouse on assignment. `landed` may forget (window), `pending` never does by itself.
    """

    def __init__(self, landed: KeySet) -> None:
        self.landed = landed
        self._pending: dict[int, tuple[Keys, KeyTable]] = {}
        self._untold: Keys = np.zeros(0, np.uint64)
        # Changes that waited, so that they were known, and that ClickHouse refused in the end: their letters may be replayed.
        self._refused: Keys = np.zeros(0, np.uint64)
        self._lock = threading.Lock()

    def known(self, revisions: Keys) -> Mask:
        with self._lock:
            found = self.landed.contains(revisions)
            if len(self._refused):
                found &= ~np.isin(revisions, self._refused)
            for _, table in self._pending.values():
                found |= table.contains(revisions)
        return found

    def start(self, batch_id: int, revisions: Keys) -> None:
        """The batch is on its way: its revisions are pending."""
        table = KeyTable(len(revisions))
        table.add(revisions)
        with self._lock:
            self._pending[batch_id] = revisions, table

    def finish(self, batch_id: int, refused: Keys) -> None:
        """The batch's rows are in ClickHouse: its revisions are landed, but for those that ClickHouse refused: of the batch, or
        of changes that had waited."""
        pending = self._pending.get(batch_id)
        if pending is not None:
            revisions, _ = pending
            if len(refused) or len(self._refused):
                with self._lock:
                    waited = np.setdiff1d(refused, revisions)
                    self._refused = np.union1d(np.setdiff1d(self._refused, revisions), waited)
                revisions = np.setdiff1d(revisions, refused)
            self.landed.extend(revisions)
        self.forget(batch_id)

    def forget(self, batch_id: int) -> None:
        """The batch was given up: what it held may be read again."""
        with self._lock:
            self._pending.pop(batch_id, None)

    def give_up_all(self) -> None:
        """No batch is on its way any more: what was pending is unknown, and may be read again."""
        with self._lock:
            self._pending.clear()
            self._untold = np.zeros(0, np.uint64)

    def suspect(self, revisions: Keys) -> None:
        """These have landed, and nobody may have been told; the newest first, of which UNTOLD_KEYS are remembered."""
        with self._lock:
            self._untold = np.unique(np.concatenate([revisions, self._untold])[:UNTOLD_KEYS])

    def untold(self, revisions: Keys) -> Mask | None:
        """Of which of these nobody may have been told; None: of none. They are forgotten: the caller sees to it.

        When its batch is given up, the partition is seeded anew.
        """
        with self._lock:
            if not len(self._untold):
                return None
            places = np.minimum(np.searchsorted(self._untold, revisions), len(self._untold) - 1)
            found: Mask = self._untold[places] == revisions
            self._untold = np.delete(self._untold, places[found])
        return found


class Dedup:
    """The step. Adds column `revision` (UInt64); drops as "duplicate"; sets `batch.replayed`."""

    name = "dedup"

    def __init__(self, seen: RevisionIndex) -> None:
        self._seen = seen

    def process(self, batch: EventBatch) -> EventBatch:
        revision = revisions(batch.events)
        batch.events = batch.events.with_columns(revision)
        keys = revision.to_numpy()
        known = ~revision.is_first_distinct() | pl.Series(self._seen.known(keys))
        untold = self._seen.untold(keys)
        if untold is not None and untold.any():
            batch.replayed = _noted(batch, batch.events.filter(pl.Series(untold)).unique("revision", keep="first"))
        batch.drop(known, DUPLICATE)
        self._seen.start(batch.id, batch.events.get_column("revision").to_numpy())
        return batch


def _noted(batch: EventBatch, rows: pl.DataFrame) -> pl.DataFrame:
    said_at = pl.when(pl.col("operation") == "create").then("created_at").otherwise("occurred_at")
    return rows.select("event_key", "revision", "created_at", said_at.alias("said_at"), batch.kafka_ms(rows.get_column("row")))


def revisions(frame: pl.DataFrame) -> pl.Series:
    """Column `revision`: stored, and compared across restarts and machines.

    The hashed text names each field that is present by a code point of its own, so it does not depend on which other fields
    the batch happens to hold. 0x1F and 0x1E separate fields and list items, as in ASCII.
    """
    parts: list[pl.Expr] = [
        pl.col("event_key").cast(pl.String),
        pl.lit("\x1f!"),
        # A create happened when its event was created, whether it says so or not.
        pl.when(pl.col("operation") == "create").then("created_at").otherwise("occurred_at").dt.epoch("ms").cast(pl.String),
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
    return pl.Series("revision", [xxhash.xxh3_64_intdigest(text) for text in texts], dtype=pl.UInt64)
