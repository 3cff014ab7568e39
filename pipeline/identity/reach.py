"""Reach: what a change makes to be computed anew, and what has to be read for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import polars as pl

from pipeline.identity.claims import BEARING, CLAIM, OF_HANDLES, Find, around
from pipeline.identity.rows import Rows
from schemas.identity import TYPES, Rules, TypeRule

CROWD = 1_000
"""Edges of a value or handle that is a crowd's, as an address that a form demands, or a page that many bios show: looked at no
more than needed."""
DEAD = ("own account", "blocked", "basis", "withdrawn", "rejected", "ambiguous handle")
"""The reasons by which an edge does not even count for the limit of what it names."""
_NO_RULE = TypeRule(priority=0)
_TO_PROFILE = pl.col("kind") == "profile"


@dataclass(frozen=True, slots=True)
class Changed:
    """What came, or was decided otherwise."""

    edges: pl.Series
    profiles: pl.Series


def reach(find: Find, rows: Rows, edges: Rows, rules: Rules, changed: Changed) -> tuple[pl.Series, pl.DataFrame]:
    """The edges whose answer may differ, and all rows on which their answers depend. `rows`: of evidence; `edges`: as judged
    before."""
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
        crowds = partial(_crowds_of_claims, rows, handles.filter(BEARING).get_column("b"))
        anew, needed = around(find, crowds, handles.get_column("b"), profiles)
        more = _others(edges, rules, anew, needed.filter(BEARING & _is("b", crowds(anew.get_column("b").unique()))))
        keys += [anew.get_column("edge"), more]
        read += [needed, find("edge", more, CLAIM)]
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


def _crowds_of_claims(rows: Rows, borne: pl.Series, handles: pl.Series) -> pl.Series:
    """Those of these handles that a crowd claims, but for those `borne` anew, or by a profile that has changed."""
    crowds = rows.crowded("b", handles, CROWD)
    return crowds.filter(~crowds.is_in(borne.implode()))


def _others(edges: Rows, rules: Rules, anew: pl.DataFrame, bearings: pl.DataFrame) -> pl.Series:
    """More claims than `anew` of the crowds' handles: all that count for the limit, or so many that it is passed whatever
    happens to the rest. Of a handle with no bearer, or several, the limit does not matter."""
    bearings = bearings.unique(["a", "b"]).filter(pl.col("b").is_unique())
    handles, bearers = bearings.get_column("b"), bearings.get_column("a").unique()
    counts = CLAIM & _is("b", handles) & ~_is("edge", anew.get_column("edge").unique())
    counts &= ~pl.col("reason").is_in(DEAD).fill_null(False)
    limit = rules.types.get("handle", _NO_RULE).limit
    some = edges.some("other", bearers, CROWD + limit + 1).filter(counts)
    enough = some.group_by("b").len().filter(pl.col("len") > limit).get_column("b")
    short = bearings.filter(~_is("b", enough)).get_column("a").unique()
    rest = edges.having("other", short, counts & ~_is("b", enough))
    found = pl.concat([some.filter(_is("b", enough)), rest]).group_by("b").head(limit + 1)
    return found.get_column("edge")


def _is(column: str, keys: pl.Series) -> pl.Expr:
    return pl.col(column).is_in(keys.implode())
