"""What speaks for and against that two profiles are one person's: paths of edges between them, and commands about them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.queries.identity.edges import Edge, Link, Recorded, edges_at, links_by_hand, recorded, split_off
from pipeline.queries.identity.find import assigned
from pipeline.queries.identity.profiles import Profile, profiles

ROUNDS = 5
"""Values or profiles between two at most, in each direction."""
MOST_EDGES = 5_000
Node = tuple[str, int]
"""A profile or handle ("", key), or a value (its type, key)."""
Step = tuple[Node, "Edge | Link", Node]


class About(NamedTuple):
    """A profile by itself."""

    profile: Profile
    customer: int
    edges: list[Edge]
    commands: list[Recorded]


class Between(NamedTuple):
    """Two profiles."""

    one: About
    other: About
    linking: list[str]
    """The shortest path of what links them, a line a step; none: nothing does."""
    refused: list[str]
    """The shortest path that has steps which are refused, each with its reason; none: there is none, or it is `linking`."""
    commands: list[Recorded]
    """About both, or what keeps apart two on the paths: splits, too."""


def about(query: Query, key: int) -> About:
    """All that is known of a profile."""
    known = profiles(query, [key]).get(key, Profile(key))
    commands = recorded(query, f"a = {key} OR b = {key}")
    return About(known, assigned(query, [key])[key], edges_at(query, [key]), commands)


def between(query: Query, one: int, other: int) -> Between:
    """What is between two profiles, ROUNDS steps from each at most."""
    edges = _around(query, one, other)
    links = links_by_hand(query)
    linking = _path([edge for edge in edges if not edge.reason], links, one, other)
    anyway = _path(edges, links, one, other)
    nodes = {one, other}
    nodes |= {key for path in (linking, anyway) for step in path for type_, key in (step[0], step[2]) if not type_}
    known = profiles(query, nodes)
    ends = about(query, one), about(query, other)
    if ends[0].customer != ends[1].customer:  # a split took one off: it has no edge whose reason would say so
        linking, anyway = [], linking or anyway
    refused = anyway if len(anyway) < len(linking) or not linking else []
    return Between(*ends, _lines(linking, known), _lines(refused, known), _commands(query, nodes))


def _commands(query: Query, nodes: Collection[int]) -> list[Recorded]:
    """About two of these, or that take one of these off its customer."""
    listed = ", ".join(map(str, nodes))
    about_two = recorded(query, f"a IN ({listed}) AND b IN ({listed})")
    off = [each for each in split_off(query) if each.command.a in nodes]
    return [each for _, each in sorted({each.command.sequence: each for each in (*about_two, *off)}.items())]


def _around(query: Query, one: int, other: int) -> list[Edge]:
    """The edges near both. A value that many share is a dead end."""
    found = dict[int, Edge]()
    seen = set[Node]()
    nodes: set[Node] = {("", one), ("", other)}
    for _ in range(ROUNDS):
        seen |= nodes
        profiles_, values = ([key for type_, key in nodes if bool(type_) == is_value] for is_value in (False, True))
        found |= {edge.key: edge for edge in edges_at(query, profiles_, values)}
        nodes = {node for edge in found.values() for node in _ends(edge)} - seen
        if not nodes or len(found) > MOST_EDGES:
            break
    return list(found.values())


def _ends(edge: Edge | Link) -> tuple[Node, Node]:
    return ("", edge.a), (edge.type if isinstance(edge, Edge) and edge.is_value else "", edge.b)


def _path(edges: Iterable[Edge], links: Iterable[Link], one: int, other: int) -> list[Step]:
    """The shortest path; none: empty."""
    at = defaultdict[Node, list[tuple["Edge | Link", Node]]](list)
    for each in chain[Edge | Link](links, edges):
        a, b = _ends(each)
        at[a].append((each, b))
        at[b].append((each, a))
    came: dict[Node, Step | None] = {("", one): None}
    queue = deque([("", one)])
    while queue and ("", other) not in came:
        node = queue.popleft()
        for edge, end in at[node]:
            if end not in came:
                came[end] = (node, edge, end)
                queue.append(end)
    path: list[Step] = []
    step = came.get(("", other))
    while step is not None:
        path.append(step)
        step = came[step[0]]
    return path[::-1]


def _lines(path: Iterable[Step], known: Mapping[int, Profile]) -> list[str]:
    def name(key: int) -> str:
        return known.get(key, Profile(key)).name

    lines = []
    for start, edge, end in path:
        a, b = _ends(edge)
        if isinstance(edge, Link):
            lines.append(f"{name(start[1])}: {edge.says(name(end[1]))}")
        else:
            lines.append(f"{name(a[1])}: {edge.line('' if edge.is_value else name(b[1]))}")
    return lines
