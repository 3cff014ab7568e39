"""Handles: who bears them, and whom a claim is about."""

from __future__ import annotations

import polars as pl

OF_HANDLES = pl.col("type") == "handle"
CLAIM = OF_HANDLES & (pl.col("kind") == "profile")
BEARING = OF_HANDLES & (pl.col("kind") == "value")


def resolved(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without bearings; adds `other`, what a is linked with, and `bearers`.

    The `other` of a claim is the profile that bears the handle: without a known bearer the handle's own key (a profile of a
    platform without ids), with several null. `bearers` is null but for claims.
    """
    bearings, rest = rows.filter(BEARING), rows.filter(~BEARING)
    if not rest.select(CLAIM.any()).item():
        return rest.with_columns(other=pl.col("b"), bearers=pl.lit(None, dtype=pl.UInt32))
    bearers = bearings.group_by("b").agg(pl.col("a").n_unique().alias("bearers"), pl.col("a").min().alias("bearer"))
    rest = rest.join(bearers, on="b", how="left", maintain_order="left")
    bearers_of = pl.when(CLAIM).then(pl.col("bearers").fill_null(0))
    other = pl.when(~CLAIM | (bearers_of == 0)).then("b").when(bearers_of == 1).then("bearer")
    return rest.with_columns(bearers=bearers_of, other=other).drop("bearer")


def around(handles: pl.DataFrame, keys: pl.Series, profiles: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What to compute anew when rows of these handles, or these profiles, have changed.

    `handles` holds all claims and bearings. Returns the claims that may get another answer, and the rows on which they depend:
    a claim depends on the claims of its handle and of its bearer, and on the bearers of the handles that these name.
    """
    claims, bearings = handles.filter(CLAIM), handles.filter(BEARING)
    named = _union(keys, _where(claims, "a", profiles, "b"))
    claimants = _union(profiles, _where(claims, "b", named, "a"), _where(bearings, "b", named, "a"))
    named = _union(named, _where(bearings, "a", claimants, "b"), claimants)
    anew = claims.filter(pl.col("b").is_in(named.implode()))
    bearers = _union(named, _where(bearings, "b", named, "a"))
    read = claims.filter(pl.col("b").is_in(named.implode()) | pl.col("a").is_in(bearers.implode()))
    borne = bearings.filter(pl.col("b").is_in(read.get_column("b").implode()))
    return anew, pl.concat([read, borne])


def _where(rows: pl.DataFrame, column: str, keys: pl.Series, wanted: str) -> pl.Series:
    return rows.filter(pl.col(column).is_in(keys.implode())).get_column(wanted)


def _union(*keys: pl.Series) -> pl.Series:
    return pl.concat([series.alias("key") for series in keys]).unique()
