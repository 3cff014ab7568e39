"""Histories: edges, commands and own accounts of a small world, where everything that can meet does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from hypothesis import strategies as st

from pipeline.identity.change import Change
from pipeline.identity.graph import Graph
from schemas.identity import ACTIONS, BASES, EDGE_COLUMNS, TYPES, Command, Customers, Policy, Rules, TypeRule, edge_keys
from schemas.untyped import JsonObject

PROFILES = range(1, 10)
HANDLES = range(31, 35)
"""Values are numbered from 1 on, as profiles are: their keys may be equal."""
RULES = Rules(
    version=1,
    types={
        "login": TypeRule(priority=0),
        "email": TypeRule(priority=1, limit=3, platform_limit=2),
        "handle": TypeRule(priority=2, limit=3, platform_limit=3),
        "phone": TypeRule(priority=3, limit=5, platform_limit=5, automatic=False),
    },
    platforms={"x": Policy(frozenset({"consent", "given"})), "mute": Policy(evidence=False)},
    blocked=frozenset({4}),
    largest=4,
)


def platform_of(profile: int) -> str:
    return ("crm", "x", "vk", "fb", "vk", "crm", "shop", "x", "mute")[profile % 9]


Piece = JsonObject | Command | int
"""An edge by column, a command, or the key of an own account."""


def edge(kind: str, type_: str, a: int, b: int, **given: object) -> JsonObject:
    """An edge between profiles of this world; `given` are other columns."""
    platform = "" if kind == "value" else platform_of(b % 30 if type_ == "handle" else b)
    row = {"kind": kind, "type": type_, "a": a, "b": b, "a_platform": platform_of(a), "b_platform": platform}
    return row | {"rule": "test", "rule_version": 1, "basis": "given", "at": 0, "event": 0, "held": 0} | given


def frame(rows: Sequence[JsonObject]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EDGE_COLUMNS, orient="row")


def key(row: JsonObject) -> int:
    return int(edge_keys(frame([row]))[0])


profiles, times = st.sampled_from(PROFILES), st.integers(0, 6)
_rest = st.fixed_dictionaries(
    {
        "basis": st.sampled_from(["given"] * 6 + list(BASES)),
        "at": times,
        "held": st.sampled_from([0] * 12 + [3, 8]),
    }
)


def _edges(kind: str, types: list[str], others: Iterable[int]) -> st.SearchStrategy[JsonObject]:
    made = st.builds(edge, st.just(kind), st.sampled_from(types), profiles, st.sampled_from(list(others)))
    return st.builds(lambda row, rest: row | rest, made, _rest)


edges = st.one_of(
    _edges("value", ["email"] * 5 + ["phone", "page"], [1, 1, 2, 2, 3, 3, 4]),
    _edges("value", ["email"], [1, 2, 3]),
    _edges("value", ["handle"], HANDLES),
    _edges("profile", ["handle"], [*HANDLES, 1, 2]),
    _edges("profile", ["login"], PROFILES),
)


@st.composite
def histories(draw: st.DrawFn, commands: int = 6) -> list[Piece]:
    """Edges, commands numbered from 1 on, and now and then an own account."""
    size = draw(st.integers(3, 30))
    rows = draw(st.lists(edges, min_size=size, max_size=size))
    found: list[Piece] = [*rows, *draw(st.lists(profiles, max_size=1) if draw(st.booleans()) else st.just([]))]
    for sequence in range(1, 1 + draw(st.integers(0, commands))):
        found.append(draw(command(sequence, rows)))
    return found


@st.composite
def command(draw: st.DrawFn, sequence: int, rows: list[JsonObject]) -> Command:
    action = draw(st.sampled_from([*(each for each in ACTIONS if each != "erase"), "link", "never", "split", "withdraw"]))
    a, b, at = draw(profiles), draw(profiles), draw(times)
    if action in ("accept", "reject"):
        return Command(sequence, action, key(draw(st.sampled_from(rows))), at=at)
    type_ = draw(st.sampled_from(["", *TYPES])) if action in ("consent", "withdraw") else ""
    confirmed = draw(st.booleans())
    return Command(sequence, action, a, b, at, type_, platform_of(a), platform_of(b), confirmed)


@dataclass(frozen=True)
class Parts:
    """A history by what its pieces are."""

    rows: list[JsonObject]
    commands: list[Command]
    own: list[int]


def parts(history: Iterable[Piece]) -> Parts:
    pieces = list(history)
    return Parts(
        [piece for piece in pieces if isinstance(piece, dict)],
        [piece for piece in pieces if isinstance(piece, Command)],
        [piece for piece in pieces if isinstance(piece, int)],
    )


def take(graph: Graph, history: Iterable[Piece]) -> Change:
    found = parts(history)
    return graph.take(frame(found.rows), found.commands, found.own)


def whole(history: Iterable[Piece], rules: Rules = RULES) -> Customers:
    graph = Graph(rules)
    take(graph, history)
    return graph.customers()


def equal(one: Customers, other: Customers) -> bool:
    return one.assignments.equals(other.assignments) and one.refusals.equals(other.refusals)


def batches(pieces: Sequence[Piece], ends: Iterable[int]) -> Iterator[Sequence[Piece]]:
    start = 0
    for end in [*sorted({end for end in ends if end < len(pieces)}), len(pieces)]:
        yield pieces[start:end]
        start = end
