"""The customers of all edges and commands, kept up to date: what comes touches some edges, and only these are computed anew.

Whatever comes, in whatever order, the customers equal those of everything at once: two tables hold the state, the rows as they
came (one an edge and basis, the oldest) and the edges as judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import polars as pl

from pipeline.identity.change import NOTHING, Change, difference
from pipeline.identity.claims import BEARING, CLAIM
from pipeline.identity.commands import Decisions
from pipeline.identity.decided import ROWS, Decided
from pipeline.identity.erased import Erased, shadows
from pipeline.identity.gates import GATED_COLUMNS, Terms, gated, oldest
from pipeline.identity.joining import MEMBERS, joined
from pipeline.identity.reach import Changed, reach
from pipeline.identity.rows import Rows, is_one_of
from schemas.identity import ASSIGNMENT_COLUMNS, EDGE_COLUMNS, ERASED, REFUSAL_COLUMNS, Command, Customers, Rules, edge_keys
from schemas.untyped import JsonObject

_EDGES = {**GATED_COLUMNS, "component": pl.UInt64()}
"""`component`: 0 of an edge that is no candidate."""
_TO_PROFILE = pl.col("kind") == "profile"
_REFUSED = pl.col("reason").is_not_null()


def customers(edges: pl.DataFrame, commands: Iterable[Command], rules: Rules, own: Iterable[int] = ()) -> Customers:
    """The customers of EDGE_COLUMNS, commands, rules and own accounts (the keys of those of the brands, of staff and bots)."""
    graph = Graph(rules)
    graph.take(edges, commands, own)
    return graph.customers()


class Graph:
    """All edges, commands and own accounts under some rules. Not safe to use from several threads at once."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._rows = Rows(pl.DataFrame(schema=ROWS), ("edge", "a", "b"))
        self._decided = Decided()
        self.own = pl.Series("own", [], dtype=pl.UInt64)
        """Keys of the own accounts, sorted."""
        self._forget()

    def customers(self) -> Customers:
        """All customers, and what links nobody. It sorts both tables."""
        found = _customers(self._members.all(), self._edges.where(_REFUSED))
        return Customers(found.assignments.sort("profile"), found.refusals.sort("edge"))

    @property
    def linked(self) -> int:
        """Profiles that share their customer."""
        return self._members.height

    def count(self) -> int:
        """Customers of several profiles. It reads all of them: the one that gives the id is one of them."""
        return self._members.where(pl.col("profile") == pl.col("customer")).height

    @property
    def edges(self) -> int:
        """Rows of evidence."""
        return self._rows.height

    @property
    def commands(self) -> Mapping[int, Command]:
        """By sequence."""
        return self._decided.commands

    @property
    def decisions(self) -> Decisions:
        """What the commands say. Nobody changes it."""
        return self._decided.decisions

    def owns(self, keys: pl.Series) -> pl.Series:
        """Which of these profiles are own accounts. It does not read all of these."""
        own, asked = self.own.to_numpy(), keys.to_numpy()
        place = np.searchsorted(own, asked)
        known = place < len(own)
        known[known] = own[place[known]] == asked[known]
        return pl.Series(known)

    def newest(self, profile: int) -> int:
        """When the newest edge of a profile happened, ms since 1970; 0: it has none. A command that splits it off needs it."""
        ends = self._edges.having("a", _keys([profile])), self._edges.having("other", _keys([profile])).filter(_TO_PROFILE)
        return max((at for end in ends for at in end.get_column("at")), default=0)

    def customer_of(self, profile: int) -> int:
        """The id of its customer: its own key where it shares none."""
        found = self._members.having("profile", _keys([profile])).get_column("customer")
        return found[0] if len(found) else profile

    def members_of(self, customer: int) -> list[int]:
        """The profiles of a customer."""
        return self._members.having("customer", _keys([customer])).get_column("profile").to_list() or [customer]

    def edge(self, edge: int) -> JsonObject | None:
        """What is known of an edge: GATED_COLUMNS; None: there is none."""
        found = self._edges.having("edge", _keys([edge]))
        return found.row(0, named=True) if len(found) else None

    def claims(self, edges: pl.Series) -> pl.Series:
        """Those of these edges that are claims."""
        return self._edges.having("edge", edges).filter(CLAIM).get_column("edge")

    def holds(self) -> bool:
        """Whether edges are held back until a release."""
        return not self._rows.where(pl.col("held").is_between(self.decisions.released, ERASED, closed="none")).is_empty()

    def trial(self) -> Graph:
        """A copy: what it takes changes this one in nothing."""
        graph = copy(self)
        graph._decided = self._decided.copied()
        graph._rows, graph._edges, graph._members = copy(self._rows), copy(self._edges), copy(self._members)
        return graph

    def under(self, rules: Rules) -> Graph:
        """Another graph with the same edges and commands, under other rules."""
        graph = Graph(rules)
        graph._decided, graph.own, graph._rows = self._decided.copied(), self.own, copy(self._rows)
        graph._judge(None)
        return graph

    def take(self, edges: pl.DataFrame | None = None, commands: Iterable[Command] = (), own: Iterable[int] = ()) -> Change:
        """Adds what came: EDGE_COLUMNS, commands, own accounts; what is known changes nothing. Edges may have other columns,
        too; one named `edge` holds their keys."""
        first = not self._rows.height and not self.commands
        fresh = pl.DataFrame(schema={"edge": pl.UInt64, **EDGE_COLUMNS})
        if edges is not None and len(edges):
            fresh = self._take_edges(edges if "edge" in edges.columns else edges.with_columns(edge_keys(edges).alias("edge")))
        touched = self._decided.take(commands)
        new = self._take_own(own)
        if first:
            return replace(self._judge(None), new=fresh)
        keys = [fresh.get_column("edge"), _keys(touched.edges).alias("edge")]
        if touched.released:
            keys.append(self._rows.where(pl.col("held").is_between(0, ERASED, closed="none")).get_column("edge"))
        changed = Changed(pl.concat(keys).unique(), pl.concat([new, _keys(touched.profiles).alias("own")]).unique())
        if changed.edges.is_empty() and changed.profiles.is_empty():  # most evidence, where workers have started again
            return replace(NOTHING, new=fresh)
        return replace(self._judge(changed), new=fresh)

    def knows(self, profiles: Iterable[int]) -> list[int]:
        """Those of these profiles of which there is evidence, or a decision that counts."""
        keys = _keys(profiles)
        there = self.decisions.profiles().union(self._rows.having("a", keys).get_column("a"))
        return sorted(there.union(self._rows.having("b", keys, _TO_PROFILE).get_column("b")).intersection(keys))

    def erase(self, commands: Sequence[Command], shadow: Callable[[list[int]], list[int]]) -> Erased:
        """Takes out the profiles of these commands: others' customers are as if no edge of them had ever been, but for what
        counts for limits. `shadow`: of some edges keys that name nobody, always the same."""
        keys = _keys(command.a for command in commands)
        mine = self._rows.having("a", keys).filter(pl.col("held") != ERASED)
        gone = pl.concat([mine, self._rows.having("b", keys, _TO_PROFILE)]).unique(["edge", "basis"])
        borne = mine.filter(BEARING).get_column("b").alias("edge")
        others = self._rows.having("b", borne, BEARING & ~is_one_of("a", keys)).get_column("b")
        kept = shadows(mine.filter(~((_TO_PROFILE | BEARING) & is_one_of("b", keys))), others, shadow)
        self._rows.pop("edge", pl.concat([gone.get_column("edge"), kept.get_column("edge")]))
        self._rows.add(kept)
        touched = self._decided.take(commands)
        parts = gone, kept, self._rows.having("b", borne, CLAIM)
        edges = pl.concat([*(rows.get_column("edge") for rows in parts), _keys(touched.edges).alias("edge")]).unique()
        change = self._judge(Changed(edges, _keys(touched.profiles).alias("own")))
        return Erased(change, gone.get_column("edge").unique(), kept)

    # --- what comes ---------------------------------------------------------------------------------------------------
    def _take_edges(self, edges: pl.DataFrame) -> pl.DataFrame:
        """Keeps the oldest row of each edge and basis. Returns the rows that were not known."""
        blank = [pl.lit(0, dtype=pl.UInt64).alias("sequence"), pl.lit(False).alias("confirmed")]
        rows = edges.with_columns(blank).with_row_index("row").select("row", *ROWS)
        rows = oldest(rows.filter(pl.col("type") != "hand"))
        known = self._rows.having("edge", rows.get_column("edge"))
        if len(known):
            older = known.select("edge", "basis", pl.col("at").alias("known_at"), pl.col("held").alias("known_held"))
            rows = rows.join(older, on=["edge", "basis"], how="left", maintain_order="left")
            same = (pl.col("known_at") <= pl.col("at")) & (pl.col("known_held") <= pl.col("held"))
            rows = rows.filter(~same.fill_null(False))
            known = known.filter(is_one_of("edge", rows.get_column("edge")))
        self._rows.pop("edge", known.get_column("edge"))
        self._rows.add(oldest(pl.concat([known, rows.select(list(ROWS))])))
        return edges[rows.get_column("row")].with_columns(rows.get_column("held"))

    def _take_own(self, keys: Iterable[int]) -> pl.Series:
        """Returns those that were not known."""
        new = _keys(keys).alias("own").unique()
        new = new.filter(~self.owns(new))
        if len(new):
            self.own = pl.concat([self.own, new]).sort()
        return new

    # --- what it means ------------------------------------------------------------------------------------------------
    def _judge(self, changed: Changed | None) -> Change:
        """Computes anew what `changed` touches; None: everything."""
        none = pl.lit(0, dtype=pl.UInt64).alias("component")
        if changed is None:
            found = self._gated(pl.concat([self._rows.all(), self._decided.hand]), self.own).with_columns(none)
            before, gone, whole = self._edges.all(), self._members.all(), found.clear()
            self._forget()
        else:
            keys, read = reach(self._find, self._rows, self._edges, self.rules, changed)
            named = pl.concat([read.get_column("a"), read.get_column("b").alias("a")]).unique()
            found = self._gated(read, named.filter(self.owns(named))).filter(is_one_of("edge", keys)).with_columns(none)
            touched = self._components(keys, found.filter("candidate"))
            anew = self._edges.pop("edge", keys)
            whole = self._edges.pop("component", touched)
            before, gone = pl.concat([anew, whole]), self._members.pop("component", touched)
        candidates = pl.concat([whole, found.filter("candidate")])
        state, members = joined(candidates, self.decisions, self.rules.largest)
        candidates = candidates.with_columns(state.get_column("component"), state.get_column("reason"))
        judged = pl.concat([found.filter(~pl.col("candidate")), candidates])
        self._edges.add(judged)
        self._members.add(members)
        return difference(_customers(gone, before), _customers(members, judged))

    def _gated(self, rows: pl.DataFrame, own: pl.Series) -> pl.DataFrame:
        return gated(rows, Terms(self.rules, self.decisions, self._decided.consents, own))

    def _forget(self) -> None:
        self._edges = Rows(pl.DataFrame(schema=_EDGES), ("edge", "a", "other", "component"))
        self._members = Rows(pl.DataFrame(schema=MEMBERS), ("profile", "customer", "component"))

    def _find(self, column: str, keys: pl.Series, among: pl.Expr | None = None) -> pl.DataFrame:
        """The rows with one of these keys in a column, those by hand included; `among`: for which that holds, too."""
        by_hand = self._decided.hand.filter(is_one_of(column, keys), *([] if among is None else [among]))
        return pl.concat([self._rows.having(column, keys, among), by_hand])

    def _components(self, keys: pl.Series, candidates: pl.DataFrame) -> pl.Series:
        """The components of before that these edges and new candidates touch."""
        ends = [candidates.get_column("a"), candidates.filter(_TO_PROFILE).get_column("other")]
        at = pl.concat([end.alias("end") for end in ends]).unique()
        touched = [
            self._edges.having("edge", keys),
            self._edges.having("a", at).filter("candidate"),
            self._edges.having("other", at).filter(_TO_PROFILE & pl.col("candidate")),
        ]
        return pl.concat(touched).filter(pl.col("component") > 0).get_column("component").unique()


def _customers(members: pl.DataFrame, edges: pl.DataFrame) -> Customers:
    return Customers(members.select(list(ASSIGNMENT_COLUMNS)), edges.filter(_REFUSED).select(list(REFUSAL_COLUMNS)))


def _keys(keys: Iterable[int]) -> pl.Series:
    return pl.Series(list(keys), dtype=pl.UInt64)
