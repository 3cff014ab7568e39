"""Edges of addresses and numbers after the hash key was changed: their keys are made of hashes (schemas/identity.py), so they
are made anew, with the commands of stewards about them. Once for each key, when a process leads that has it.

New edges, commands, old edges away: who is killed in between leaves all that the next one needs. An address that no table has
any more, as its rows were too old, keeps its key: profiles that share it stay linked, and nobody else is linked by it.
"""

from __future__ import annotations

import logging

import polars as pl

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import numbers
from pipeline.errors import ConflictError
from pipeline.identity.raised import TYPES
from pipeline.sinks.raised_hashes import note, parts
from schemas.evidence import STORED_COLUMNS
from schemas.hashes import Chain

PIECE = 100_000
"""Addresses and numbers whose edges one statement deletes."""
_OF = f"kind = 'value' AND type IN {TYPES}"
_MOVED = """
SELECT type, xxh3(concat(type, ':', old)) AS b, xxh3(concat(type, ':', new)) AS moved FROM {part} ARRAY JOIN {types} AS type"""
_EDGES = """
SELECT e.edge AS old, xxh3(concat('value:', e.type, ':', toString(e.a), ':', toString(m.moved))) AS edge, m.moved AS b,
    e.* EXCEPT (edge, b)
FROM identity_edges AS e INNER JOIN ({moved}) AS m ON e.type = m.type AND e.b = m.b WHERE e.kind = 'value'"""
_DECIDED = "action IN ('accept', 'reject')"
log = logging.getLogger("earshot.customers")


def needed(newest: int, mark: int) -> bool:
    """Whether edges are by an earlier hash key than the newest of this process; `mark`: that of the table, 0 is 1.

    Raises ConflictError if they are by a later one: a process that has stood by since before the key was changed would keep
    evidence under keys that nobody finds any more.
    """
    if newest < mark:
        raise ConflictError(f"edges are by hash_key {mark}, this process has {newest}: start it again with the keys of today")
    return newest > max(1, mark)


def rekey(inserter: Inserter, chain: Chain) -> int:
    """Returns how many edges have another key now. It may be done again. Blocks while ClickHouse is away."""
    note(inserter, chain)
    moved = 0
    for part in parts(inserter, chain):
        moved += _rekey(inserter, _MOVED.format(part=part, types=list(TYPES)))
    left = inserter.query(f"SELECT uniqExact(edge) AS n FROM identity_edges WHERE {_OF}").get_column("n")[0] - moved
    log.info("edges of addresses and numbers: %d are by the newest hash_key now, %d stay as they are", moved, left)
    return moved


def _rekey(inserter: Inserter, moved: str) -> int:
    edges = _EDGES.format(moved=moved)
    old = f"{_OF} AND (type, b) IN (SELECT type, b FROM ({moved}))"
    count: int = inserter.query(f"SELECT uniqExact(edge) AS n FROM identity_edges WHERE {old}").get_column("n")[0]
    if not count:
        return 0
    names = ", ".join((*STORED_COLUMNS, "written_at"))
    inserter.command(f"INSERT INTO identity_edges ({names}) SELECT {names} FROM ({edges})")
    _rekey_commands(inserter, edges)
    _delete_old(inserter, old)
    return count


def _delete_old(inserter: Inserter, old: str) -> None:
    """By literals: with a SELECT in a DELETE nobody could read the table before its end (privacy/hide.py)."""
    values = inserter.query(f"SELECT DISTINCT b FROM identity_edges WHERE {old} ORDER BY b")
    for piece in values.iter_slices(PIECE):
        inserter.command(f"DELETE FROM identity_edges WHERE {_OF} AND b IN {numbers(piece.get_column('b'))}")


def _rekey_commands(inserter: Inserter, edges: str) -> None:
    """What stewards decided about an edge is about its new key."""
    of = f"SELECT a FROM identity_commands WHERE {_DECIDED}"
    keys = inserter.query(f"SELECT DISTINCT old AS a, edge FROM ({edges}) WHERE old IN ({of})")
    if not keys.height:
        return
    listed = ", ".join(map(str, keys.get_column("a")))
    rows = inserter.query(f"SELECT * FROM identity_commands FINAL WHERE {_DECIDED} AND a IN ({listed})")
    rows = rows.join(keys, on="a", maintain_order="left").with_columns(pl.col("edge").alias("a")).drop("edge")
    inserter.insert_all("identity_commands", rows, inserter.fence.generation)
    inserter.command(f"DELETE FROM identity_commands WHERE {_DECIDED} AND a IN ({listed})")
