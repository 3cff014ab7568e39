"""What other rules would change: which customers they merge, which they split. Computed here, from what ClickHouse holds."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.identity.graph import Graph
from pipeline.identity.rules_file import Hashes, RulesFile
from pipeline.queries.identity.profiles import Profile, profiles
from pipeline.sinks.customers import read_commands, read_edges, read_rules
from schemas.identity import Customers

SHOWN = 8
"""Profiles of a customer that are shown."""


class Regrouped(NamedTuple):
    """A customer that rules make of several, or make into several."""

    customer: int
    parts: int
    size: int
    """Its profiles."""
    profiles: list[Profile]
    """SHOWN at most."""


class DryRun(NamedTuple):
    """What the rules would change."""

    version: int
    """Of the rules in force."""
    same: bool
    """The rules say what those in force say."""
    merges: list[Regrouped]
    """The largest first."""
    merged: int
    splits: list[Regrouped]
    split: int
    moved: int
    """Profiles that would have another customer."""


def dry_run(query: Query, rules: RulesFile, hashes: Hashes, most: int) -> DryRun:
    """Compares the customers under the rules in force with those under `rules`; shows `most` of each kind."""
    version, in_force = read_rules(query)
    now = Graph(in_force.compiled(version, hashes))
    (edges, own), (commands, _) = read_edges(query), read_commands(query)
    now.take(edges, commands, own)
    then = now.under(rules.compiled(version + 1, hashes))
    groups = grouped(now.customers(), then.customers())
    merges, splits = regrouped(groups, "after", "before"), regrouped(groups, "before", "after")
    shown = [merges.head(most), splits.head(most)]
    known = profiles(query, {key for frame in shown for keys in frame.get_column("some") for key in keys})
    one, other = ([_regrouped(row, known) for row in frame.iter_rows()] for frame in shown)
    same = rules.fingerprint(hashes) == in_force.fingerprint(hashes)
    moved = groups.filter(pl.col("before") != pl.col("after")).height
    return DryRun(version, same, one, merges.height, other, splits.height, moved)


def grouped(now: Customers, then: Customers) -> pl.DataFrame:
    """`profile`, `before`, `after`: the customers of each profile that shares one in either state."""
    one, other = (
        each.assignments.select("profile", pl.col("customer").alias(name)) for each, name in ((now, "before"), (then, "after"))
    )
    both = one.join(other, on="profile", how="full", coalesce=True)
    return both.with_columns(pl.col(name).fill_null(pl.col("profile")) for name in ("before", "after"))


def regrouped(groups: pl.DataFrame, whole: str, part: str) -> pl.DataFrame:
    """`customer`, `parts`, `size`, `some`: the groups of `whole` that have several of `part`, the largest first."""
    found = groups.group_by(pl.col(whole).alias("customer")).agg(
        pl.col(part).n_unique().alias("parts"),
        pl.len().alias("size"),
        pl.col("profile").sort().head(SHOWN).alias("some"),
    )
    return found.filter(pl.col("parts") > 1).sort("size", "parts", "customer", descending=[True, True, False])


def _regrouped(row: tuple[int, int, int, list[int]], known: dict[int, Profile]) -> Regrouped:
    customer, parts, size, some = row
    return Regrouped(customer, parts, size, [known.get(key, Profile(key)) for key in some])
