"""Table raised_hashes: which stored hash became which when the hash key was changed (schemas/hashes.py).

It has each hash of an earlier key that a table has before the table's rows are changed: so the keys of edges, which are made of
hashes, can be changed at any time after that (customers/rekeying.py). It is emptied when nothing is of an earlier key any more.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipeline.clickhouse.inserter import Inserter
from schemas.hashes import DIGITS, HASH, Chain, older_sql

TABLE = "raised_hashes"
REKEYED = "hash_key"
"""The mark (table identity_marks) of the generation by whose hashes edges are keyed; 0 is 1."""
PIECE = 1_000_000
"""Hashes that are looked at together, about: ClickHouse takes 300 MB for them."""
_HASHES = f"""
SELECT arrayJoin([author_email, author_phone]) AS hash FROM interactions
UNION ALL SELECT arrayJoin([JSONExtractString(change, 'author_email'), JSONExtractString(change, 'author_phone')])
    FROM pending_changes WHERE done = 0
UNION ALL SELECT arrayJoin(contacts) FROM dead_letters
UNION ALL SELECT arrayJoin([email_hash, phone_hash]) FROM customers
UNION ALL SELECT value FROM suppressions WHERE kind = 'value'
UNION ALL SELECT arrayJoin(extractAll(rules, '"({HASH})"')) FROM identity_rules
UNION ALL SELECT arrayJoin([old, new]) FROM {TABLE}"""
"""All that tables have, or had when an edge was last made anew: the key may have been changed twice since. Of an address whose
rows have gone only the edges are left: their keys stay as they are."""


def beginnings(count: int) -> list[tuple[str, str]]:
    """Parts of so many hashes: the first four digits from which on, and up to which, the hashes of each begin."""
    pieces = max(1, -(-count // PIECE))
    bounds = [f"{each * 0x10000 // pieces:04x}" for each in range(pieces)]
    return list(zip(bounds, [*bounds[1:], "g"], strict=True))


def begins(column: str, part: tuple[str, str]) -> str:
    """SQL: whether the hash is of this part."""
    digits = f"substring({column}, -{DIGITS}, 4)"
    return f"{digits} >= '{part[0]}' AND {digits} < '{part[1]}'"


def parts(inserter: Inserter, chain: Chain) -> Iterator[str]:
    """The parts of the table that are of the newest key, each as SQL: what FROM takes, with columns old and new."""
    where = f"startsWith(new, '{chain.generation}-')"
    count = inserter.query(f"SELECT count() AS n FROM {TABLE} FINAL WHERE {where}").get_column("n")[0]
    for part in beginnings(count):
        yield f"(SELECT old, new FROM {TABLE} FINAL WHERE {where} AND {begins('old', part)})"


def note(inserter: Inserter, chain: Chain) -> int:
    """On return the table has all hashes of earlier keys that tables have now. Returns how many are new to it."""
    older, noted = older_sql("hash", chain.generation), 0
    count = inserter.query(f"SELECT uniqHLL12(hash) AS n FROM ({_HASHES}) WHERE {older}").get_column("n")[0]
    for part in beginnings(count):
        known = f"SELECT old FROM {TABLE} WHERE startsWith(new, '{chain.generation}-') AND {begins('old', part)}"
        found = inserter.query(
            f"SELECT DISTINCT hash FROM ({_HASHES}) WHERE {older} AND {begins('hash', part)} AND hash NOT IN ({known})"
        ).get_column("hash")
        raised = pl.DataFrame({"old": found, "new": pl.Series(chain.all_raised(found), dtype=pl.String)})
        raised = raised.filter(pl.col("old") != pl.col("new")).with_columns(generation=pl.lit(chain.generation, pl.UInt16))
        for piece in raised.iter_slices(100_000):
            inserter.insert_all(TABLE, piece, inserter.fence.generation)
        noted += raised.height
    return noted
