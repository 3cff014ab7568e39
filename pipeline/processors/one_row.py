"""Several rows of one event become one (`earshot reconcile`): frames in, frames out.

A create of an event that dedup did not know landed as a row of its own, under another created_at or from another partition.
The event's row is the one whose created_at landed first. It takes over from the others what docs/one-row.md says: each group of
columns at its time; a create that gave no time counts from when it landed, unless it says no more than an earlier one. A delete
is final, whichever row has it.

Each other row is *moved*: a version of it that is deleted, says by `moved_to` where the event's row is, and keeps its columns
until it has settled. A worker may have read a row before that, and write a change of it after that: the change has a higher
version than ours, so it is seen, and what it hides is still in the moved rows; the next run puts it together again. A row that
has settled is blank, as a tombstone is. So each step may be done again, and a run that was killed is completed by the next.

The event's row is also above any create of its minute: such a create may come again, and is not looked up beyond the dedup
window. Of changes, only those of that minute are below it.

A row says no more what its create said once an update has replaced a part of it. Then the part that is left counts as said
before, unless the event's row still has its own create's part, and that is another one.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import polars as pl

from pipeline.processors.merge import (
    FILLED,
    FIXED,
    GROUP_TIMES,
    KEPT,
    NEVER,
    ORIGIN,
    above_all,
    bury,
    newest_groups,
    with_own_revision,
)
from pipeline.processors.second_creates import as_of
from schemas import events
from schemas.times import TIME

_LANDED = ["landed_at", "ingested_at", "offset"]
_AT_FIRST = pl.col("created_at") == pl.col("first_created_at")
_INTACT = pl.col("carries") & (pl.col("operation") == "create")
"""All that its create said is in the row."""
_COMPARED = [*(column for columns in events.GROUPS.values() for column in columns), *GROUP_TIMES, "other_created_at"]
_BLANK = [
    column
    for column in (*events.BY_COLUMN, *GROUP_TIMES, *FILLED)
    if column not in ("created_at", "platform", "source_name", "operation", "landed_at")
]
"""Columns that a moved row loses when it has settled."""


class OneRow(NamedTuple):
    """The versions to write, in this order."""

    kept: pl.DataFrame
    """Rows of events, with what they take over."""
    moved: pl.DataFrame
    """Rows that are moved now."""
    settled: pl.DataFrame
    """Moved rows that become blank."""


def one_row(rows: pl.DataFrame, now: datetime, settled_before: datetime) -> OneRow:
    """`rows`: the newest version of each (event_key, created_at, topic, partition) of some events, with the columns of table
    interactions. What was moved before `settled_before` has settled: no worker has a change of it on its way."""
    columns = rows.columns
    rows = _told(_prepared(rows))
    heads, state = rows.filter("head"), _state(rows)
    kept = _kept(state, heads, columns)
    written = pl.col("event_key").is_in(kept.get_column("event_key").implode())
    others = heads.filter(pl.col("minute") != pl.col("first_minute"))
    others = others.join(state.select("event_key", gone=pl.col("is_deleted") == 1), on="event_key", maintain_order="left")
    others = others.with_columns(version=pl.when("gone").then(above_all()).otherwise("version"))
    move = others.filter(~pl.col("moved")).with_columns(
        operation=pl.when("deleted").then(pl.lit("delete")).otherwise("operation"),
        moved_to=pl.col("first_created_at"),
        is_deleted=pl.lit(1, pl.UInt8),
        ingested_at=pl.lit(now).cast(TIME),
        **{time: pl.col(f"own_{time}") for time in GROUP_TIMES},
    )
    done = pl.col("gone") | (pl.col("ingested_at") < settled_before) & ~written
    settle = others.filter(pl.col("moved") & pl.col("carries") & done)
    moved = pl.concat([_next(move.filter(~pl.col("gone")), columns), _blank(_next(move.filter("gone"), columns))])
    return OneRow(kept, moved, _blank(_next(settle, columns)))


def _prepared(rows: pl.DataFrame) -> pl.DataFrame:
    """In the order in which a later row wins a tie of time, with columns:

    - `minute`: a merge keeps one row of it, `head`; `moved`; `carries`: it has more than a tombstone has; `deleted`
    - `first_created_at`, `first_minute`: of its event; `base`: its first create
    """
    moved = pl.col("moved_to") > NEVER
    rows = rows.with_columns(
        minute=pl.col("created_at").dt.truncate("1m"),
        moved=moved,
        carries=pl.col("id").fill_null("") != "",
        deleted=(pl.col("is_deleted") == 1) & (~moved | (pl.col("operation") == "delete")),
    )
    rows = with_own_revision(rows.with_columns(head=pl.col("version") == pl.col("version").max().over("event_key", "minute")))
    to = pl.col("moved_to").filter("moved").min()
    first = pl.coalesce(to, pl.col("created_at").sort_by(*_LANDED).first()).over("event_key")
    rows = rows.with_columns(first_created_at=first, first_minute=first.dt.truncate("1m"))
    rows = rows.sort(_LANDED, maintain_order=True)
    of_first = (_INTACT & _AT_FIRST).cast(pl.UInt32)
    rows = rows.with_columns(base=(of_first == 1) & (of_first.cum_sum().over("event_key") == 1))
    return rows.sort(pl.col("moved").not_(), "head", "ingested_at", "offset", "version", maintain_order=True)


def _told(rows: pl.DataFrame) -> pl.DataFrame:
    """With the times from which the groups of each row count; column `own_<group>_at` has the time in the row. More columns:

    - `second`: the row has another create than the event's row; `again`: one that says no more than an earlier one
    - `said`: the revision of an intact row's create, as of the event's created_at
    """
    rows = rows.with_columns(
        second=pl.col("carries") & ~(_AT_FIRST & (~_INTACT | pl.col("base"))),
        said=pl.when(_INTACT).then(as_of(_as_sent(rows), "first_created_at")),
    )
    core = rows.filter(pl.col("carries") & ~pl.col("second"))
    known = core.group_by("event_key").agg(known=pl.col("create_revisions").explode().drop_nulls())
    row = core.filter("head").group_by("event_key").agg(pl.col(*_COMPARED).last().name.prefix("base_"))
    rows = rows.join(known, on="event_key", how="left", maintain_order="left")
    rows = rows.join(row, on="event_key", how="left", maintain_order="left")
    untimed = {time: pl.col("second") & (pl.col(time) == pl.col("created_at")) for time in GROUP_TIMES}
    is_untimed = pl.any_horizontal(*untimed.values(), _INTACT & (pl.col("occurred_at") == pl.col("created_at")))
    distinct = pl.struct("event_key", "said", pl.col("second")).is_first_distinct()
    said_before = (
        pl.when(_INTACT)
        .then(pl.col("known").list.contains(pl.col("said")).fill_null(False) | ~distinct)
        .otherwise(~pl.any_horizontal(untimed[time] & _says_other(time) for time in GROUP_TIMES))
    )
    landed = rows.with_row_index("place").sort(*_LANDED, maintain_order=True).with_columns(said_before=said_before)
    rows = landed.sort("place").drop("place").with_columns(again=pl.col("second") & is_untimed & pl.col("said_before"))
    at = pl.when("again").then(NEVER).otherwise("landed_at")
    return rows.with_columns(
        *(pl.when(untimed[time]).then(at).otherwise(time).alias(time) for time in GROUP_TIMES),
        *(pl.col(time).alias(f"own_{time}") for time in GROUP_TIMES),
    )


def _says_other(time: str) -> pl.Expr:
    """The event's row has the part of its own create (or none), and that is another one."""
    columns = events.GROUPS[time.removesuffix("_at")]
    differs = pl.any_horizontal(pl.col(column).ne_missing(pl.col(f"base_{column}")) for column in columns)
    base = pl.col(f"base_{time}")
    return (base.is_null() | (base == NEVER) | (base == pl.col("first_created_at"))) & differs


def _as_sent(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as decode has them: the table has blanks in place of nulls."""
    texts = [column for column, field in events.BY_COLUMN.items() if field.kind == "string" and column not in events.TIMES]
    lists = [column for column, field in events.BY_COLUMN.items() if field.kind == "strings"]
    return rows.with_columns(
        *(pl.when(pl.col(column) != "").then(column).alias(column) for column in texts),
        *(pl.when(pl.col(column).list.len() > 0).then(column).alias(column) for column in lists),
    )


def _state(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an event, as it has to stand."""
    there = rows.filter(pl.col("minute") == pl.col("first_minute")).sort(_AT_FIRST, "version", maintain_order=True)
    fixed = [column for column in FIXED if column != "created_at"]
    state = there.group_by("event_key", maintain_order=True).agg(pl.col(*fixed, "first_created_at").last())
    named = pl.when(pl.col("second") & ~pl.col("again")).then("created_at").otherwise(NEVER)
    other = pl.max_horizontal("other_created_at", named)
    of_all = rows.with_columns(other_created_at=pl.when(other != pl.col("first_created_at")).then(other).otherwise(NEVER))
    last = rows.filter(~pl.col("moved")).sort("ingested_at", "offset", maintain_order=True).group_by("event_key")
    state = state.join(last.agg(pl.col("ingested_at", *ORIGIN).last()), on="event_key").join(
        of_all.group_by("event_key", maintain_order=True).agg(
            pl.col("other_created_at").max(),
            pl.col("deleted").any().cast(pl.UInt8).alias("is_deleted"),
            pl.col("landed_at").min(),
            pl.col("revision").sort_by("text_at", maintain_order=True).last(),
        ),
        on="event_key",
    )
    said = pl.when("second").then(pl.concat_list("said").list.drop_nulls()).otherwise("create_revisions")
    told = rows.filter("carries").with_columns(create_revisions=said).sort("second", maintain_order=True)
    creates = pl.col("create_revisions").explode().drop_nulls().unique(maintain_order=True).tail(KEPT)
    state = state.join(told.group_by("event_key", maintain_order=True).agg(creates), on="event_key", how="left")
    return newest_groups(state, rows.with_row_index("seq"))


def _kept(state: pl.DataFrame, heads: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """The next versions of those events' rows that do not stand as they have to."""
    here = heads.filter(pl.col("minute") == pl.col("first_minute"))
    here = here.with_columns(pl.col(f"own_{time}").alias(time) for time in GROUP_TIMES)
    here = here.select("event_key", "version", "moved", pl.col("created_at", "is_deleted", *_COMPARED).name.prefix("here_"))
    both = state.join(here, on="event_key", maintain_order="left")
    same = [pl.col(column).eq_missing(pl.col(f"here_{column}")) for column in _COMPARED]
    stands = (
        ~pl.col("moved")
        & (pl.col("here_created_at") == pl.col("first_created_at"))
        & (pl.col("here_is_deleted") == pl.col("is_deleted"))
        & ((pl.col("is_deleted") == 1) | pl.all_horizontal(same))
    )
    rows = both.filter(~stands).with_columns(
        created_at=pl.col("first_created_at"),
        operation=pl.lit("update"),
        occurred_at=pl.max_horizontal("first_created_at", *GROUP_TIMES),
        moved_to=NEVER,
    )
    rows = rows.with_columns(version=pl.max_horizontal("version", _last_create()))
    return bury(_next(rows, columns), rows.filter(pl.col("is_deleted") == 1)).select(columns)


def _last_create() -> pl.Expr:
    """The highest version that a create of the event's minute can have by itself."""
    last_ms = pl.col("created_at").dt.truncate("1m").dt.epoch("ms").cast(pl.UInt64) + 59_999
    rest = (events.RANKS["create"] << events.RANK_SHIFT) + (events.OFFSET_MASK << events.OFFSET_SHIFT)
    return last_ms * (1 << events.TIME_SHIFT) + rest


def _next(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Versions above a row and its labels, below any change of it."""
    return rows.with_columns(version=pl.col("version") + events.RECONCILE_STEP).select(columns)


def _blank(rows: pl.DataFrame) -> pl.DataFrame:
    types = rows.schema  # made anew each time that it is asked for
    return rows.with_columns(pl.lit(None, types[column]).alias(column) for column in _BLANK)
