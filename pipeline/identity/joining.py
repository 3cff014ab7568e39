"""Customers of candidate edges: in their order, each joins two sides unless that breaks a rule.

Only a component that holds two CRM records, a pair to be kept apart, or too many profiles can have an edge refused: only such
components are walked through in Python, all others are computed by column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.identity.commands import Decisions
from pipeline.identity.components import Numbers, components, firsts
from pipeline.identity.gates import REASON
from pipeline.identity.walk import Walk

Mask = npt.NDArray[np.bool_]
_PROFILE, _VALUE, _GHOST = 0, 1, 2
_FAR = np.iinfo(np.int64).max
_TIE = pl.when(pl.col("kind") == "value").then("a").otherwise("edge")
"""What decides between edges of one time. The key of an address's edge is another one once the hash key was changed, and who is
linked with whom must not be."""
EDGE_STATE = {"edge": pl.UInt64(), "component": pl.UInt64(), "reason": REASON}
"""`component`: the smallest key of the edges that hang together, those that are refused included."""
MEMBERS = {"profile": pl.UInt64(), "customer": pl.UInt64(), "component": pl.UInt64()}


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of some edges, numbered from 0: profiles first, then values, then ghosts.

    A ghost stands where a profile stood before it was split off: it holds the rest together, and is no profile.
    """

    keys: npt.NDArray[np.uint64]
    profiles: int
    one: Numbers
    """The node at end a of each edge."""
    other: Numbers
    apart: list[tuple[int, int]]
    """Pairs that are never in one customer: those of commands, and each split profile and its ghosts."""


def joined(edges: pl.DataFrame, decisions: Decisions, largest: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """EDGE_STATE of each candidate edge, and MEMBERS: the profiles that share a customer. `edges` are whole components."""
    nodes = _nodes(edges, decisions)
    count = len(nodes.keys)
    whole = label = components(count, nodes.one, nodes.other)
    records = _records(edges, nodes)
    walked = np.flatnonzero(_in_question(nodes, whole, records, largest)[whole[nodes.one]])
    reasons = pl.Series("reason", [None], dtype=REASON).new_from_index(0, len(edges))
    accepted = np.ones(len(edges), dtype=np.bool_)
    if len(walked):
        why = _walked(edges[walked], nodes, records, walked, largest)
        reasons = reasons.scatter(walked, why)
        accepted[walked] = why.is_null().to_numpy()
        label = components(count, nodes.one[accepted], nodes.other[accepted])
    smallest = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, whole[nodes.one], edges.get_column("edge").to_numpy())
    node, customer = _members(edges, nodes, label, np.flatnonzero(accepted))
    state = {"edge": edges.get_column("edge"), "component": smallest[whole[nodes.one]], "reason": reasons}
    members = {"profile": nodes.keys[node], "customer": nodes.keys[customer], "component": smallest[whole[node]]}
    return pl.DataFrame(state, schema=EDGE_STATE), pl.DataFrame(members, schema=MEMBERS)


def _records(edges: pl.DataFrame, nodes: Nodes) -> Mask:
    """Which nodes are records of a CRM."""
    records = np.zeros(len(nodes.keys), dtype=np.bool_)
    records[nodes.one[edges.get_column("a_crm").to_numpy()]] = True
    records[nodes.other[edges.get_column("b_crm").to_numpy()]] = True
    records[nodes.profiles :] = False
    return records


def _in_question(nodes: Nodes, label: Numbers, records: Mask, largest: int) -> Mask:
    """Of each component, by its label, whether one of its edges may be refused."""
    count = len(nodes.keys)
    question = np.bincount(label[: nodes.profiles], minlength=count) > largest
    question |= np.bincount(label[records], minlength=count) > 1
    for one, other in nodes.apart:
        question[label[one]] |= label[one] == label[other]
    return question


def _walked(edges: pl.DataFrame, nodes: Nodes, records: Mask, rows: Numbers, largest: int) -> pl.Series:
    """Why each of these edges is refused, in their order of (priority, time, _TIE); null: it is not."""
    numbers, ends = np.unique(np.concatenate([nodes.one[rows], nodes.other[rows]]), return_inverse=True)
    place = {node: number for number, node in enumerate(numbers.tolist())}
    apart = [(place[one], place[other]) for one, other in nodes.apart if one in place and other in place]
    walk = Walk((numbers < nodes.profiles).astype(int).tolist(), records[numbers].astype(int).tolist(), apart, largest)
    one, other = ends[: len(rows)].tolist(), ends[len(rows) :].tolist()
    confirmed = edges.get_column("confirmed").to_list()
    order = edges.select(pl.arg_sort_by("priority", "at", _TIE, "type", "edge")).to_series().to_list()
    reasons: list[str | None] = [None] * len(rows)
    for row in order:
        reasons[row] = walk.join(one[row], other[row], confirmed[row])
    return pl.Series("reason", reasons, dtype=REASON)


def _members(edges: pl.DataFrame, nodes: Nodes, label: Numbers, accepted: Numbers) -> tuple[Numbers, Numbers]:
    """The profiles, as nodes, that share a customer, and the profile that gives its id: the older one of the oldest link."""
    count = len(nodes.keys)
    one, other = nodes.one[accepted], nodes.other[accepted]
    key, at = (edges.select(what).to_series().to_numpy()[accepted] for what in (_TIE, "at"))
    since_at, since_key = (edges.get_column(name).to_numpy()[accepted].copy() for name in ("since_at", "since_edge"))
    to_value = np.flatnonzero((edges.get_column("kind") == "value").to_numpy()[accepted])
    since_key[to_value] = key[to_value]
    # A value links from its second edge on: that is when its first edge begins to link.
    first = to_value[firsts(other[to_value], count, at[to_value], key[to_value])]
    later = np.setdiff1d(to_value, first, assume_unique=True)
    second = later[firsts(other[later], count, at[later], key[later])]
    at_second, key_second = np.full(count, _FAR, dtype=np.int64), np.zeros(count, dtype=np.uint64)
    at_second[other[second]], key_second[other[second]] = at[second], key[second]
    since_at[first], since_key[first] = at_second[other[first]], key_second[other[first]]

    shared = np.bincount(label[: nodes.profiles], minlength=count) > 1
    end, edge = np.concatenate([one, other]), np.tile(np.arange(len(accepted)), 2)
    of_profile = (end < nodes.profiles) & shared[label[end]]
    end, edge = end[of_profile], edge[of_profile]
    chosen = firsts(label[end], count, since_at[edge], since_key[edge], at[edge], key[edge], end)
    customer = np.zeros(count, dtype=np.int64)
    customer[label[end[chosen]]] = end[chosen]
    node = np.flatnonzero(shared[label[: nodes.profiles]])
    return node, customer[label[node]]


# --- nodes ------------------------------------------------------------------------------------------------------------
def _nodes(edges: pl.DataFrame, decisions: Decisions) -> Nodes:
    a, b = edges.get_column("a").to_numpy(), edges.get_column("other").to_numpy()
    to_profile = (edges.get_column("kind") == "profile").to_numpy()
    space_a = np.full(len(a), _PROFILE)
    space_b = np.where(to_profile, _PROFILE, _VALUE)
    a, space_a = _haunted("a", edges, a, space_a, decisions)
    b, space_b = _haunted("other", edges, b, space_b, decisions)
    keys, space = np.concatenate([a, b]), np.concatenate([space_a, space_b])
    numbers, found, first = np.empty(len(keys), dtype=np.int64), [], [0]
    for one in _PROFILE, _VALUE, _GHOST:
        of_space = np.flatnonzero(space == one)
        unique, inverse = np.unique(keys[of_space], return_inverse=True)
        numbers[of_space] = inverse + first[-1]
        found.append(unique)
        first.append(first[-1] + len(unique))
    profiles, columns = found[_PROFILE], decisions.columns()
    place, known = _places(profiles, columns.nevers)
    apart = [(one, other) for one, other in place[known.all(axis=1)].tolist() if one != other]
    split = np.array([decisions.splits[sequence].a for sequence in found[_GHOST].tolist()], dtype=np.uint64)
    place, known = _places(profiles, split)
    apart += [(int(place[ghost]), ghost + first[_GHOST]) for ghost in np.flatnonzero(known).tolist()]
    return Nodes(np.concatenate(found), first[1], numbers[: len(a)], numbers[len(a) :], apart)


def _places(profiles: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]) -> tuple[Numbers, Mask]:
    """Where these keys are among sorted profiles, and which of them are there at all."""
    place = np.searchsorted(profiles, keys)
    known = place < len(profiles)
    known[known] = profiles[place[known]] == keys[known]
    return place, known


def _haunted(
    end: str, edges: pl.DataFrame, keys: npt.NDArray[np.uint64], space: Numbers, decisions: Decisions
) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """Puts a ghost in the place of a split profile in edges that are older than its split: its key is the split's sequence."""
    splits = decisions.columns().splits
    if not splits:
        return keys, space
    of_split = pl.col(end).is_in(decisions.columns().split)
    at_profile = pl.lit(True) if end == "a" else pl.col("kind") == "profile"
    found = edges.with_row_index("row").filter(of_split & at_profile).select("row", end, "at", "sequence")
    keys, space = keys.copy(), space.copy()
    for row, key, at, sequence in found.iter_rows():
        ghost = next((one.sequence for one in splits[key] if (sequence < one.sequence if sequence else at <= one.at)), None)
        if ghost is not None:
            keys[row], space[row] = ghost, _GHOST
    return keys, space
