"""What changes: rows of the customers and of the review queue, before and after."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from schemas.identity import EDGE_COLUMNS, REFUSAL_COLUMNS, Customers

MOVED_COLUMNS = {"profile": pl.UInt64(), "before": pl.UInt64(), "after": pl.UInt64()}
"""A profile whose customer is another one: the ids of both. A customer of one profile has its key."""
REFUSED_COLUMNS = {"edge": pl.UInt64(), "before": REFUSAL_COLUMNS["reason"], "after": REFUSAL_COLUMNS["reason"]}


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two states of the customers."""

    profiles: pl.DataFrame
    """MOVED_COLUMNS of each profile whose row of the assignments differs; null: it has none, and stands alone."""
    refusals: pl.DataFrame
    """REFUSED_COLUMNS of each edge whose reason differs, null: none."""
    new: pl.DataFrame
    """The rows of evidence that came and were not known, as they came: of an edge and basis an older one, or one held less."""

    @property
    def moved(self) -> pl.DataFrame:
        """MOVED_COLUMNS: who has another customer."""
        moved = self.profiles.with_columns(pl.col(name).fill_null(pl.col("profile")) for name in ("before", "after"))
        return moved.filter(pl.col("before") != pl.col("after"))


NOTHING = Change(*(pl.DataFrame(schema=schema) for schema in (MOVED_COLUMNS, REFUSED_COLUMNS, EDGE_COLUMNS)))
"""Nobody's customer differs, nor the queue. Whoever returns it replaces `new`, which has the columns of what came."""


def difference(before: Customers, after: Customers) -> Change:
    """What leads from one to the other. The order of their rows does not matter."""
    profiles = _differing(before.assignments, after.assignments, "profile", "customer")
    refusals = _differing(before.refusals, after.refusals, "edge", "reason")
    return Change(profiles, refusals, pl.DataFrame(schema=EDGE_COLUMNS))


def _differing(one: pl.DataFrame, other: pl.DataFrame, key: str, value: str) -> pl.DataFrame:
    before, after = (frame.select(key, pl.col(value).alias(name)) for frame, name in ((one, "before"), (other, "after")))
    both = before.join(after, on=key, how="full", coalesce=True)
    return both.filter(pl.col("before").ne_missing(pl.col("after"))).sort(key)
