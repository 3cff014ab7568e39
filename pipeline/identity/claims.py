"""Handles: who bears them, and whom a claim is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import polars as pl


class Find(Protocol):
    """Finds rows."""

    def __call__(self, column: str, keys: pl.Series, among: pl.Expr | None = None) -> pl.DataFrame:
        """Those with one of these keys in the column; `among`: for which that holds, too."""
        ...


OF_HANDLES = pl.col("type") == "handle"
CLAIM = OF_HANDLES & (pl.col("kind") == "profile")
BEARING = OF_HANDLES & (pl.col("kind") == "value")


def resolved(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without bearings; adds `other`, what a is linked with, and `bearers`.

    The `other` of a claim is the profile that bears the handle: without a known bearer the handle's own key (a profile of a
    platform without ids), with several null. `bearers` is null but for claims. Who is known to bear the handle only by a row
    that is held back: the claim is held back, too.
    """
    bearings, rest = rows.filter(BEARING), rows.filter(~BEARING)
    if not rest.select(CLAIM.any()).item():
        return rest.with_columns(other=pl.col("b"), bearers=pl.lit(None, dtype=pl.UInt32))
    bearers = bearings.group_by("b").agg(
        pl.col("a").n_unique().alias("bearers"), pl.col("a").min().alias("bearer"), pl.col("held").min().alias("borne_held")
    )
    rest = rest.join(bearers, on="b", how="left", maintain_order="left")
    bearers_of = pl.when(CLAIM).then(pl.col("bearers").fill_null(0))
    other = pl.when(~CLAIM | (bearers_of == 0)).then("b").when(bearers_of == 1).then("bearer")
    found = (bearers_of == 1) & (pl.col("bearer") != pl.col("b"))
    held = pl.when(found).then(pl.max_horizontal("held", "borne_held")).otherwise("held")
    return rest.with_columns(bearers=bearers_of, other=other, held=held).drop("bearer", "borne_held")


def around(
    find: Find, crowded: Callable[[pl.Series], pl.Series], keys: pl.Series, profiles: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What to compute anew when rows of these handles, or these profiles, have changed.

    `find` looks among all rows. Returns the claims that may get another answer, and the rows on which they depend: a claim
    depends on the claims of its handle and of its bearer, and on the bearers of the handles that these name.

    `crowded`: those of some handles that a crowd claims, and whose bearers are what they were. Of their claims only those of
    the profiles, and of who may be named in turn, get another answer by themselves.
    """
    named = _union(keys, find("a", profiles, CLAIM).get_column("b"))
    claimants = _union(profiles, find("b", _without(named, crowded(named)), OF_HANDLES).get_column("a"))
    near = _union(profiles, named, find("b", named, BEARING).get_column("a"))
    named = _union(named, find("a", claimants, BEARING).get_column("b"), claimants)
    crowds = crowded(named)
    of_crowds = find("a", near, CLAIM).filter(pl.col("b").is_in(crowds.implode()))
    anew = pl.concat([find("b", _without(named, crowds), CLAIM), of_crowds])
    bearers = _union(named, find("b", named, BEARING).get_column("a"))
    read = pl.concat([anew, find("a", bearers, CLAIM)]).unique(["edge", "basis"])
    borne = find("b", read.get_column("b").unique(), BEARING)
    return anew, pl.concat([read, borne])


def _without(keys: pl.Series, others: pl.Series) -> pl.Series:
    return keys.filter(~keys.is_in(others.implode()))


def _union(*keys: pl.Series) -> pl.Series:
    return pl.concat([series.alias("key") for series in keys]).unique()
