"""What stays of the edges of a profile that was erased: that somebody had a value, without whom.

An address that eleven shared links nobody, as the limit is ten. If one of the eleven is erased, it still links nobody: their
edge stays under a key that names nobody, and counts. So do claims of a handle, and a second bearer of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from pipeline.identity.change import Change
from pipeline.identity.claims import BEARING, CLAIM
from schemas.identity import ERASED, edge_keys


class Erased(NamedTuple):
    """What an erasure did."""

    change: Change
    gone: pl.Series
    """Keys of edges that are no more."""
    kept: pl.DataFrame
    """Rows that stay in their place: their `a` names nobody."""


def shadows(rows: pl.DataFrame, others: pl.Series, shadow: Callable[[list[int]], list[int]]) -> pl.DataFrame:
    """The rows that stay of `rows`, those of erased profiles: values, and claims of others' handles. Handles that they bore
    stay only if one of `others`, too, bears them: of two bearers a claim is about nobody."""
    own = pl.col("type") == "handle"
    value = (pl.col("kind") == "value") & ~own
    bearing = BEARING & pl.col("b").is_in(others.implode())
    stay = rows.filter(value | CLAIM | bearing).unique(["edge", "basis"], maintain_order=True)
    edges = stay.get_column("edge").unique(maintain_order=True)
    keys = dict(zip(edges.to_list(), shadow(edges.to_list()), strict=True)) if len(edges) else {}
    named = [keys[edge] for edge in stay.get_column("edge").to_list()]
    stay = stay.with_columns(pl.Series("a", named, pl.UInt64), at=pl.lit(0, pl.Int64), held=pl.lit(ERASED, pl.UInt64))
    return stay.with_columns(edge_keys(stay).alias("edge"))
