"""The review queue: edges that link nobody, those first that a steward can decide, and what links most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.clickhouse.row_versions import quoted
from pipeline.queries.identity.edges import Edge, edges_at, edges_named
from pipeline.queries.identity.find import assigned
from pipeline.queries.identity.profiles import Profile, profiles
from schemas.identity import REASONS
from schemas.untyped import Row

DECIDED = ("suggestion", "held", "two CRM records", "too large", "ambiguous handle", "never")
"""Reasons that a steward can do something about, the most useful first; the rest is for rules."""
SHOWN = 8
"""Profiles of one entry that are shown."""


class Entry(NamedTuple):
    """Edges that hang together: of one value, or one between two profiles."""

    reason: str
    says: str
    profiles: list[Profile]
    """SHOWN at most."""
    size: int
    """Profiles in all."""
    others: list[Profile]
    """Who has the value by edges that are not refused; SHOWN at most."""
    interactions: int
    edges: list[int]
    """To be accepted or rejected; SHOWN at most."""
    together: bool
    """Its profiles, and the others, are one customer already."""


def counts(query: Query) -> dict[str, int]:
    """Edges in the queue by reason, in the order of REASONS."""
    found = dict(query("SELECT reason, count() FROM identity_queue FINAL GROUP BY reason").iter_rows())
    return {reason: found[reason] for reason in REASONS if reason in found}


def review(query: Query, reason: str, limit: int) -> list[Entry]:
    """The first `limit` entries, of one reason or, blank, of those that a steward can decide."""
    reasons = (reason,) if reason else DECIDED
    listed = ", ".join(map(quoted, reasons))
    rows = query(f"""
WITH queued AS
(
    SELECT edge, any(q.reason) AS reason, any(kind) AS kind, any(type) AS type, any(a) AS a, any(b) AS b
    FROM identity_edges AS e INNER JOIN (SELECT edge, reason FROM identity_queue FINAL WHERE reason IN ({listed})) AS q
    USING edge GROUP BY edge
),
seen AS
(
    SELECT account_key, count() AS interactions FROM account_events FINAL
    WHERE account_key IN (SELECT a FROM queued UNION DISTINCT SELECT b FROM queued WHERE kind = 'profile') GROUP BY account_key
)
SELECT reason, if(kind = 'value', b, edge) AS of, kind, type, count() AS size,
    sum(one.interactions + other.interactions) AS interactions, groupArraySorted({SHOWN})(edge) AS edges
FROM queued LEFT JOIN seen AS one ON a = one.account_key LEFT JOIN seen AS other ON b = other.account_key AND kind = 'profile'
GROUP BY reason, of, kind, type
ORDER BY indexOf([{listed}], reason), interactions DESC, size DESC, of LIMIT {limit:d}""")
    listed_edges = [key for found in rows.get_column("edges") for key in found]
    edges = {edge.key: edge for edge in edges_named(query, listed_edges)}
    bearers = _bearers(query, edges.values())
    ends = {edge.key: _ends(edge, bearers) for edge in edges.values()}
    others = _others(query, edges.values())
    known = profiles(query, {key for each in (*ends.values(), *others.values()) for key in each})
    customer = assigned(query, known)
    return [_entry(row, edges, ends, others, known, customer) for row in rows.iter_rows(named=True)]


def _entry(
    row: Row,
    edges: Mapping[int, Edge],
    ends: Mapping[int, list[int]],
    others: Mapping[int, list[int]],
    known: Mapping[int, Profile],
    customer: Mapping[int, int],
) -> Entry:
    found = list(dict.fromkeys(end for key in row["edges"] for end in ends[key]))
    beside = others.get(row["of"], [])
    customers = [customer.get(key, key) for key in (*found, *beside)]
    return Entry(
        row["reason"],
        edges[row["edges"][0]].says(),
        [known.get(key, Profile(key)) for key in found[:SHOWN]],
        max(row["size"], len(found)),
        [known.get(key, Profile(key)) for key in beside],
        row["interactions"],
        row["edges"],
        len(customers) > 1 and len(set(customers)) == 1,
    )


def _others(query: Query, edges: Iterable[Edge]) -> dict[int, list[int]]:
    """Who has the same values by edges that are not refused: with them the edges would link."""
    found: dict[int, list[int]] = {edge.b: [] for edge in edges if edge.is_value}
    for edge in edges_at(query, (), found):
        if edge.is_value and not edge.reason and len(found[edge.b]) < SHOWN:
            found[edge.b].append(edge.a)
    return found


def _bearers(query: Query, edges: Iterable[Edge]) -> dict[int, list[int]]:
    """Who bears the claimed handles."""
    listed = ", ".join(str(edge.b) for edge in edges if edge.is_claim) or "0"
    bears = "kind = 'value' AND type = 'handle' AND a != b"
    rows = query(f"SELECT b, groupUniqArray({SHOWN})(a) FROM identity_edges WHERE {bears} AND b IN ({listed}) GROUP BY b")
    return {key: sorted(found) for key, found in rows.iter_rows()}


def _ends(edge: Edge, bearers: dict[int, list[int]]) -> list[int]:
    """The profiles that it is about."""
    if edge.kind == "value":
        return [edge.a]
    return [edge.a, *(bearers.get(edge.b, [edge.b]) if edge.is_claim else [edge.b])]
