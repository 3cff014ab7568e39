"""How the changes of an event end in one row, whatever their order of arrival: frames in, frames out.

Columns that can change come in three groups (`schemas.events.GROUPS`), each with its own time (text_at, metrics_at, author_at):
a change replaces the groups it carries where it is newer than the stored ones. Of one time, the higher offset is newer within a
partition; from different partitions, what comes later. A delete is final and leaves a tombstone: event_key, created_at
and brands stay, every other column of the event is blank; its version is above that of any record.

A row's own offset decides ties for each of its groups: a partition is read in order, and again only from some offset to its
end. So a change before that offset is part of the row already, or the changes that are newer are read again after it.
"""

from __future__ import annotations

import polars as pl

from schemas import events
from schemas.labels import COLUMNS as SENTIMENT
from schemas.times import TIME

GROUP_TIMES = tuple(f"{group}_at" for group in events.GROUPS)
NEVER = pl.lit(0).cast(TIME)
"""The time of a group that a row does not carry."""
ORIGIN = ("topic", "partition", "offset")
FIXED = [f.column for f in events.FIELDS if f.group == "fixed" and f.column not in ("operation", "occurred_at")]
CUSTOMER: dict[str, pl.DataType] = {"customer_key": pl.UInt64()}
"""Whose customer the author was when the row landed (processors/identity.py)."""
_GROUPS = events.GROUPS | {
    "text": (*events.GROUPS["text"], *SENTIMENT),
    "author": (*events.GROUPS["author"], *CUSTOMER),
}
"""A label and a customer are no fields of a record, but they change with the text and with the author."""
CREATES: dict[str, pl.DataType] = {"create_revisions": pl.List(pl.UInt64()), "other_created_at": TIME, "landed_at": TIME}
"""What a row knows of the creates of its event (processors/second_creates.py), and when the first of them landed."""
KEPT = 50
"""Most revisions of creates that a row has: the last ones."""
FILLED: dict[str, pl.DataType] = {**SENTIMENT, **CREATES, **CUSTOMER}
"""Columns of table interactions that steps fill. `prepare` adds them as nulls, because not every hot path has each step; a
tombstone blanks them. One that changes with a group of fields is in _GROUPS too."""
_STATE = [*FIXED, *(column for group in _GROUPS.values() for column in group), *GROUP_TIMES, *CREATES, "is_deleted"]
_KEPT_BY_TOMBSTONE = {"created_at", "brands", "is_deleted", "landed_at"}
_BASE_ORIGIN = [f"base_{column}" for column in ORIGIN]
_EARLIER = (
    (pl.col("topic") == pl.col("base_topic"))
    & (pl.col("partition") == pl.col("base_partition"))
    & (pl.col("offset") <= pl.col("base_offset"))
).fill_null(False)
"""Changes at the offset of their event's newest row or before: on a tie of time they are not newer."""


def prepare(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds the columns that follow from a row alone: the times of its groups (1970: not carried), is_deleted, version.

    FILLED are null, unless an earlier step has filled them: a later one does.
    """
    frame = frame.with_columns(pl.coalesce("occurred_at", "created_at").alias("occurred_at"))
    return frame.with_columns(
        *(
            pl.when(_carries(columns, frame)).then("occurred_at").otherwise(NEVER).alias(f"{group}_at")
            for group, columns in events.GROUPS.items()
        ),
        is_deleted=(pl.col("operation") == "delete").cast(pl.UInt8),
        version=version(),
        **{column: pl.lit(None, type_) for column, type_ in FILLED.items() if column not in frame.columns},
    )


def version() -> pl.Expr:
    """The version of a record by itself (schemas/events.py says which bits mean what)."""
    rank = pl.col("operation").replace_strict(events.RANKS, return_dtype=pl.UInt64)
    return (
        (pl.col("occurred_at").dt.epoch("ms").cast(pl.UInt64) * (1 << events.TIME_SHIFT))
        + rank * (1 << events.RANK_SHIFT)
        + (pl.col("offset").cast(pl.UInt64) & events.OFFSET_MASK) * (1 << events.OFFSET_SHIFT)
    )


def _carries(columns: tuple[str, ...], frame: pl.DataFrame) -> pl.Expr:
    present = [column for column in columns if frame.get_column(column).null_count() < frame.height]
    if not present:
        return pl.lit(False)
    return pl.any_horizontal(
        pl.col(column).list.len().fill_null(0) > 0
        if events.BY_COLUMN[column].kind == "strings"
        else pl.col(column).is_not_null()
        for column in present
    )


def merge(bases: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """One row for each event that has a base: its state after all changes, and its state before: `base_version`,
    `base_<group>_at`, `base_is_deleted`, and `base_<origin>` of its newest row. Bases that come later in the frame win ties."""
    fixed = bases.sort("version", maintain_order=True).group_by("event_key", maintain_order=True)
    state = fixed.agg(
        *(pl.col(column).last() for column in FIXED),
        pl.col("version").max().alias("base_version"),
        *(pl.col(time).max().alias(f"base_{time}") for time in GROUP_TIMES),
        pl.col("is_deleted").max().alias("base_is_deleted"),
        *(pl.col(column).last().alias(f"base_{column}") for column in ORIGIN),
    )
    ordered = changes.join(state.select("event_key", *_BASE_ORIGIN), on="event_key").sort("offset", maintain_order=True)
    earlier = ordered.select(_EARLIER).to_series()
    ordered = ordered.drop(_BASE_ORIGIN)
    rows = pl.concat([ordered.filter(earlier), bases, ordered.filter(~earlier)], how="diagonal_relaxed").with_row_index("seq")
    state = newest_groups(state, rows)
    creates = pl.col("create_revisions").explode().drop_nulls().unique(maintain_order=True).tail(KEPT)
    of_all = with_own_revision(rows).group_by("event_key", maintain_order=True)
    latest, first = pl.col("other_created_at", "is_deleted").max(), pl.col("landed_at").min()
    return state.join(of_all.agg(creates, latest, first), on="event_key", how="left")


def newest_groups(state: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """`state` (a row an event) with each group of columns from the newest of its rows; of one time, the highest `seq`."""
    for group, columns in _GROUPS.items():
        newest = rows.sort(f"{group}_at", "seq").group_by("event_key")
        state = state.join(newest.agg(pl.col(*columns, f"{group}_at").last()), on="event_key", how="left")
    return state


def with_own_revision(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows; a create whose `create_revisions` are blank has its revision there."""
    known = pl.col("create_revisions").fill_null([])
    own = (pl.col("operation") == "create") & (known.list.len() == 0)
    return rows.with_columns(pl.when(own).then(pl.concat_list("revision")).otherwise(known).alias("create_revisions"))


def apply(changes: pl.DataFrame, state: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """The changes as whole rows in their event's state, and how many were left out: they changed nothing, or came after the
    delete of their event."""
    joined = changes.drop(c for c in _STATE if c != "is_deleted").join(
        state.rename({"is_deleted": "state_is_deleted"}), on="event_key", how="inner", maintain_order="left"
    )
    carried = changes.select(pl.col(*GROUP_TIMES).name.suffix("_own"))
    joined = pl.concat([joined, carried], how="horizontal")
    newer = [
        (pl.col(f"{time}_own") > NEVER)
        & ((pl.col(f"{time}_own") > pl.col(f"base_{time}")) | (pl.col(f"{time}_own") == pl.col(f"base_{time}")) & ~_EARLIER)
        for time in GROUP_TIMES
    ]
    effective = (pl.col("base_is_deleted") == 0) & pl.any_horizontal(pl.col("is_deleted") == 1, *newer)
    whole = joined.filter(effective).with_columns(
        version=pl.max_horizontal("version", (pl.col("base_version") // events.CHANGE_STEP + 1) * events.CHANGE_STEP),
        is_deleted=pl.col("state_is_deleted"),
    )
    whole = whole.select(changes.columns)
    deleted = int((joined.get_column("base_is_deleted") == 1).sum())
    return bury(whole, state.filter(pl.col("is_deleted") == 1)), joined.height - whole.height - deleted, deleted


def bury(rows: pl.DataFrame, deleted: pl.DataFrame) -> pl.DataFrame:
    """The rows, those of deleted events as tombstones."""
    if not deleted.height:
        return rows
    gone = pl.col("event_key").is_in(deleted.get_column("event_key").implode())
    rows = rows.with_columns(version=pl.when(gone).then(above_all()).otherwise("version"))
    columns = [column for column in (*events.BY_COLUMN, *FILLED) if column not in _KEPT_BY_TOMBSTONE]
    return rows.with_columns(
        pl.when(gone).then(None).otherwise(pl.col(column)).alias(column) for column in (*columns, *GROUP_TIMES)
    ).with_columns(
        pl.col("operation").fill_null("delete"),
        pl.when(gone).then(pl.lit(1, pl.UInt8)).otherwise("is_deleted").alias("is_deleted"),
    )


def above_all() -> pl.Expr:
    """The version of a tombstone made of a row: above that of any record, and of the row."""
    return pl.max_horizontal("version", pl.lit(events.TOMBSTONE, pl.UInt64))
