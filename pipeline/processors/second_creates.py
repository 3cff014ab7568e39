"""Second creates: an event is one row, so a create of an event that is known is an update of everything it carries.

It counts from its occurred_at; without one, from Kafka's time of its record. Without one it is a redelivery if it says no more
than an earlier create of the event, whatever created_at either names: the created_at that landed first stays. So counts of 5, 6
and 5 in creates without times stay 6.

Dedup marks the creates of known events (AGAIN); completion looks their events up with those of its changes. Each row has the
revisions of the creates that it was made of, the last KEPT, so that a redelivery is recognised after a restart and a merge,
when dedup does not know it any more. They are revisions as of the event's first created_at.

A create that dedup marks and whose event is in no table (ClickHouse refused it, or relevance dropped it) is a first one.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.dedup import AGAIN, revisions
from pipeline.processors.merge import prepare, with_own_revision
from schemas import events
from schemas.times import TIME

SECOND, MOVED = "second_create", "moved_created_at"
"""Notes of a batch: its second creates without redeliveries, and those of them with another created_at than their event."""
_UNTIMED = "untimed"
_LATEST_MS = (1 << 64 - events.TIME_SHIFT) - 1
"""That a version has room for: a producer may say any time."""
HELPERS = (AGAIN, _UNTIMED)
"""Columns of batches with second creates, until completion has resolved them."""


def as_updates(batch: EventBatch) -> pl.DataFrame:
    """The rows of the batch, its second creates as updates at their time."""
    frame = batch.events
    if AGAIN not in frame.columns:
        return frame
    kafka_ms = batch.kafka_ms(frame.get_column("row"))
    at = pl.when(kafka_ms.is_between(1, _LATEST_MS)).then(kafka_ms.cast(TIME)).otherwise("created_at")
    untimed = pl.col(AGAIN) & pl.col("occurred_at").is_null()
    return frame.with_columns(
        untimed.alias(_UNTIMED),
        occurred_at=pl.when(untimed).then(at).otherwise("occurred_at"),
        operation=pl.when(AGAIN).then(pl.lit("update")).otherwise("operation"),
    )


def remember_timed(rows: pl.DataFrame, creates: pl.Series) -> pl.DataFrame:
    """The rows; a first create (`creates`) with a time of its own has the revision that it would have without it."""
    timed = creates & (rows.get_column("occurred_at") != rows.get_column("created_at"))
    if not timed.any():
        return rows
    return rows.with_columns(pl.when(timed).then(pl.concat_list(as_of(rows, "created_at"))).alias("create_revisions"))


class Resolved(NamedTuple):
    """The second creates of a batch, resolved."""

    changes: pl.DataFrame
    """All changes of the batch but the redeliveries."""
    firsts: pl.DataFrame
    """The marked creates whose event is in no table and not on its way: the event's create."""
    redelivered: int
    moved: int
    second: int


def resolve(changes: pl.DataFrame, bases: pl.DataFrame) -> Resolved:
    """`changes` with HELPERS; `bases`: the rows of their events that are stored or on their way."""
    marked = changes.filter(AGAIN)
    homeless = marked.join(bases, on="event_key", how="anti").unique("event_key", keep="first", maintain_order=True)
    firsts = _as_creates(homeless)
    others = changes.filter(pl.col(AGAIN).fill_null(False).not_())
    marked = marked.join(homeless, on="row", how="anti", maintain_order="left")
    known = _known(pl.concat([bases, firsts.drop(HELPERS)], how="diagonal_relaxed"))
    joined = marked.join(known, on="event_key", how="left", maintain_order="left")
    joined = joined.with_columns(as_of(joined, "first_created_at").alias("said"))
    redelivered = pl.col(_UNTIMED) & (
        pl.col("known_revisions").list.contains(pl.col("said")) | ~pl.struct("event_key", "said").is_first_distinct()
    )
    new = joined.filter(~redelivered)
    moved = pl.col("created_at") != pl.col("first_created_at")
    new = new.with_columns(
        create_revisions=pl.concat_list("said"), other_created_at=pl.when(moved).then("created_at").cast(TIME)
    )
    left = pl.concat([others, new.select(changes.columns)], how="diagonal_relaxed").drop(HELPERS)
    return Resolved(left, firsts.drop(HELPERS), joined.height - new.height, int(new.select(moved.sum()).item()), new.height)


def _as_creates(rows: pl.DataFrame) -> pl.DataFrame:
    untimed = rows.with_columns(
        operation=pl.lit("create"), occurred_at=pl.when(_UNTIMED).then(None).otherwise("occurred_at").cast(TIME)
    )
    firsts = prepare(untimed)
    return remember_timed(firsts, firsts.get_column("operation") == "create").select(rows.columns)


def _known(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each event its created_at, and the revisions of its creates."""
    newest = with_own_revision(rows).sort("version", maintain_order=True).group_by("event_key", maintain_order=True)
    return newest.agg(
        pl.col("created_at").last().alias("first_created_at"),
        pl.col("create_revisions").explode().drop_nulls().alias("known_revisions"),
    )


def as_of(rows: pl.DataFrame, created_at: str) -> pl.Series:
    """The revisions of the rows as first creates without a time, of an event created at `created_at`."""
    given = pl.col(events.GIVEN.column).alias("brands")
    return revisions(
        rows.with_columns(given, created_at=pl.col(created_at), occurred_at=pl.lit(None, TIME), operation=pl.lit("create"))
    )
