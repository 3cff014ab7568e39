"""Takes profiles out of the tables of identity. Everything may be done again, and is: after a kill, and now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from pipeline.clickhouse.inserter import Inserter

PIECE = 5_000
"""Keys of one statement: a server parses 256 KiB."""
_OF = "(a IN ({keys}) OR kind = 'profile' AND b IN ({keys}))"
_MOVES = "(profile IN ({keys}) OR before IN ({keys}) OR after IN ({keys})) AND sequence < {before}"
SUPPRESSED = "SELECT DISTINCT key FROM suppressions FINAL WHERE kind = 'account' AND key != 0 ORDER BY key"


def suppressed(query: Callable[[str], pl.DataFrame]) -> pl.Series:
    """Keys of the accounts of persons who were erased, sorted."""
    return query(SUPPRESSED).get_column("key").cast(pl.UInt64)


def erase_rows(
    inserter: Inserter, profiles: Sequence[int], edges: Iterable[int], before: int, write: Callable[[str, pl.DataFrame], None]
) -> None:
    """Hides, by lightweight DELETEs, what the tables have of these profiles, and of these edges. Moves of sequence `before` and
    later stay: they tell that the profiles left. `write` adds rows to a table. Blocks while ClickHouse is away."""
    gone = set(edges)
    for keys in _pieces(profiles):
        of = _OF.format(keys=keys)
        gone |= set(inserter.query(f"SELECT DISTINCT edge FROM identity_edges WHERE {of}").get_column("edge").to_list())
    for keys in _pieces(sorted(gone)):
        _delete(inserter, "identity_queue", f"edge IN ({keys})")
        _blank(inserter, f"action IN ('accept', 'reject') AND a IN ({keys})", write)
    for keys in _pieces(profiles):
        _blank(inserter, f"action NOT IN ('accept', 'reject') AND (a IN ({keys}) OR b IN ({keys}))", write)
        _delete(inserter, "customers", f"profile IN ({keys})")
        _delete(inserter, "assignments", f"profile IN ({keys}) OR customer IN ({keys})")
        _delete(inserter, "assignment_changes", _MOVES.format(keys=keys, before=before))
        _delete(inserter, "identity_edges", _OF.format(keys=keys))  # last: who is killed before finds the edges by it


def _blank(inserter: Inserter, condition: str, write: Callable[[str, pl.DataFrame], None]) -> None:
    """What was decided stays on record, by keys; why somebody said so goes."""
    where = f"why != '' AND ({condition})"
    rows = inserter.query(f"SELECT * EXCEPT why FROM identity_commands FINAL WHERE {where}")
    if rows.height:
        write("identity_commands", rows)  # without it the column is blank
    _delete(inserter, "identity_commands", where)


def _delete(inserter: Inserter, table: str, condition: str) -> None:
    count = inserter.query(f"SELECT count() AS n FROM {table} WHERE {condition}").get_column("n")[0]
    if count:  # one that finds nothing makes each part anew, too
        inserter.command(f"DELETE FROM {table} WHERE {condition}")


def _pieces(keys: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(keys), PIECE):
        yield ", ".join(map(str, keys[start : start + PIECE]))
