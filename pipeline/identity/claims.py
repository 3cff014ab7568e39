"""Handles: who bears them, and whom a claim is about."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Find = Callable[[str, pl.Series], pl.DataFrame]
"""(column, keys) -> the rows with one of these keys in the column."""

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


def around(find: Find, keys: pl.Series, profiles: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What to compute anew when rows of these handles, or these profiles, have changed.

    `find` looks among all rows. Returns the claims that may get another answer, and the rows on which they depend: a claim
    depends on the claims of its handle and of its bearer, and on the bearers of the handles that these name.
    """
    named = _union(keys, _found(find, CLAIM, "a", profiles, "b"))
    of_named = find("b", named)
    claimants = _union(profiles, of_named.filter(OF_HANDLES).get_column("a"))
    named = _union(named, _found(find, BEARING, "a", claimants, "b"), claimants)
    of_named = find("b", named)
    anew = of_named.filter(CLAIM)
    bearers = _union(named, of_named.filter(BEARING).get_column("a"))
    read = pl.concat([anew, find("a", bearers).filter(CLAIM)]).unique(["edge", "basis"])
    borne = find("b", read.get_column("b").unique()).filter(BEARING)
    return anew, pl.concat([read, borne])


def _found(find: Find, among: pl.Expr, column: str, keys: pl.Series, wanted: str) -> pl.Series:
    return find(column, keys).filter(among).get_column(wanted)


def _union(*keys: pl.Series) -> pl.Series:
    return pl.concat([series.alias("key") for series in keys]).unique()
