"""Reach: what a change makes to be computed anew, and what has to be read for it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipeline.identity.claims import OF_HANDLES, Find, around
from pipeline.identity.rows import Rows
from schemas.identity import TYPES, Rules, TypeRule

CROWD = 1_000
"""Edges of a value that is a crowd's, as an address that a form demands: looked at no more than needed."""
_NO_RULE = TypeRule(priority=0)
_TO_PROFILE = pl.col("kind") == "profile"


@dataclass(frozen=True, slots=True)
class Changed:
    """What came, or was decided otherwise."""

    edges: pl.Series
    profiles: pl.Series


def reach(find: Find, edges: Rows, rules: Rules, changed: Changed) -> tuple[pl.Series, pl.DataFrame]:
    """The edges whose answer may differ, and all rows on which their answers depend. `edges`: as judged before."""
    at_profile = [find("a", changed.profiles), find("b", changed.profiles).filter(_TO_PROFILE)]
    seeds = pl.concat([find("edge", changed.edges), *at_profile]).unique(["edge", "basis"])
    handles, others = seeds.filter(OF_HANDLES), seeds.filter(~OF_HANDLES)
    to_profiles, to_values = others.filter(_TO_PROFILE), others.filter(~_TO_PROFILE)
    crowded, stand_ins = _crowds(edges, rules, to_values)
    values = to_values.get_column("b").unique()
    values = values.filter(~values.is_in(crowded.implode()))
    of_crowds = to_values.filter(pl.col("b").is_in(crowded.implode()))
    read = [find("b", values).filter(~_TO_PROFILE & ~OF_HANDLES), to_profiles, of_crowds]
    keys = [changed.edges, *(frame.get_column("edge") for frame in read)]
    if len(handles) or len(changed.profiles):
        profiles = pl.concat([handles.get_column("a").alias("own"), changed.profiles.alias("own")]).unique()
        anew, needed = around(find, handles.get_column("b"), profiles)
        keys.append(anew.get_column("edge"))
        read.append(needed)
    read.append(find("edge", stand_ins))
    return pl.concat([key.alias("edge") for key in keys]).unique(), pl.concat(read)


def _crowds(edges: Rows, rules: Rules, changed: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Values that link nobody before and after the change: whatever happens to these edges, more profiles than the limit have
    the value besides. Also, as many edges of each as show that.
    """
    values = edges.crowded("other", changed.get_column("b").unique(), CROWD)
    if values.is_empty():
        return values, values
    limits = {type_: rules.types.get(type_, _NO_RULE).limit for type_ in TYPES}
    known = edges.some("other", values, CROWD + max(limits.values()) + 1).filter(
        pl.col("kind") == "value", pl.col("reason") == "over limit", ~pl.col("edge").is_in(changed.get_column("edge").implode())
    )
    needed = pl.col("type").replace_strict(limits, return_dtype=pl.UInt32) + 1
    enough = known.group_by("type", "b").agg("edge").filter(pl.col("edge").list.len() >= needed)
    short = changed.join(enough, on=["type", "b"], how="anti").get_column("b")
    enough = enough.filter(pl.col("b").is_in(values.implode()) & ~pl.col("b").is_in(short.implode()))
    stand_ins = enough.select("b", pl.col("edge").list.head(needed)).explode("edge")
    return stand_ins.get_column("b").unique(), stand_ins.get_column("edge").unique()
