"""Customers: who they are, since when, and by which evidence each profile belongs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.queries.identity.edges import Edge, Link, edges_at, links_by_hand, split_off
from pipeline.queries.identity.profiles import Profile, profiles


class Member(NamedTuple):
    """A profile of a customer."""

    profile: Profile
    since: datetime | None
    """When it came to this customer; None: it has not moved, the others came to it."""
    evidence: list[str]
    """Why it belongs, a line each."""


class Customer(NamedTuple):
    """A customer: the profile that gives the id first."""

    key: int
    members: list[Member]


def customers(query: Query, keys: Sequence[int]) -> list[Customer]:
    """The customers with these ids."""
    listed = ", ".join(map(str, keys)) or "0"
    rows = query(f"SELECT customer, profile FROM assignments FINAL WHERE customer IN ({listed}) ORDER BY profile")
    members = {key: [key] for key in keys}
    for customer, profile in rows.iter_rows():
        members[customer] += [profile] if profile != customer else []
    everybody = [profile for each in members.values() for profile in each]
    off = {each.command.a for each in split_off(query)}
    known, since = profiles(query, off.union(everybody)), _since(query, everybody)
    why = _Why(edges_at(query, off.union(everybody)), links_by_hand(query), known, off)
    return [
        Customer(key, [Member(known.get(one, Profile(one)), since.get(one), why.lines(one, each)) for one in each])
        for key, each in members.items()
    ]


def _since(query: Query, keys: Iterable[int]) -> dict[int, datetime]:
    listed = ", ".join(map(str, keys)) or "0"
    rows = query(f"""
SELECT profile, argMax(changed_at, sequence) AS since FROM assignment_changes FINAL
WHERE profile IN ({listed}) GROUP BY profile HAVING argMax(after, sequence) != profile""")
    return dict(rows.iter_rows())


class _Why:
    """What links profiles with each other: edges that are not refused, and links by hand.

    Evidence of a profile that was split `off` stayed where it was, and may be all that holds others there.
    """

    def __init__(self, edges: Iterable[Edge], links: Iterable[Link], known: Mapping[int, Profile], off: set[int]) -> None:
        self._known, self._off = known, off
        self._of = defaultdict[int, list[Edge]](list)
        self._at = defaultdict[tuple[str, int], set[int]](set)
        self._links = defaultdict[int, list[Link]](list)
        for edge in edges:
            if not edge.reason:
                self._of[edge.a].append(edge)
                if edge.is_value:
                    self._at[edge.type, edge.b].add(edge.a)
                elif edge.bears:
                    self._at["handle", edge.b].add(edge.a)
                else:
                    self._of[edge.b].append(edge)
        for link in links:
            self._links[link.a].append(link)
            self._links[link.b].append(link)

    def lines(self, profile: int, members: Sequence[int]) -> list[str]:
        """Why the profile belongs to these."""
        others = self._off.union(members) - {profile}
        lines = [
            link.says(self._name((link.a, link.b)[link.a == profile]))
            for link in self._links[profile]
            if others & {link.a, link.b}
        ]
        for edge in self._of[profile]:
            if edge.is_value:
                with_it = others & self._at[edge.type, edge.b]
            elif edge.is_claim:
                with_it = others & (self._at["handle", edge.b] | {edge.b} if edge.a == profile else {edge.a})
            else:
                with_it = others & {edge.a, edge.b}
            if with_it:
                here = sorted(map(self._name, with_it.intersection(members)))
                lines.append(edge.line(", ".join(here or sorted(f"{self._name(each)} (split off)" for each in with_it))))
        return lines

    def _name(self, key: int) -> str:
        return self._known.get(key, Profile(key)).name
