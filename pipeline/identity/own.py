"""Own accounts: those of the brands themselves, of their staff, and bots. They are nobody's customers, and link nobody."""

from __future__ import annotations

import polars as pl

from schemas.evidence import EVIDENCE_COLUMNS, NO_EDGES
from schemas.identity import account_keys, edge_keys

RULE = "own"
_SAME = {
    "kind": "value",
    "type": "handle",
    "b_platform": "",
    "rule": RULE,
    "basis": "given",
    "held": 0,
    "claimed": "",
    "hash": "",
}


def own_accounts(rows: pl.DataFrame, version: int) -> pl.DataFrame:
    """EVIDENCE_COLUMNS: each own account of the rows once, as a profile that is known, by rule RULE.

    The graph takes these profiles as own accounts, since others may name them. Their basis is `given`: by the brand. `version`:
    of the rules. What a machine mailed, as an absence note, says nothing about its address: anybody may send one in somebody
    else's name, and an own account is one for ever.
    """
    kind, mail = rows.get_column("author_kind"), rows.get_column("platform") == "email"
    own = (rows.get_column("direction") == "outbound") | (kind == "staff") | ((kind == "bot") & ~mail)
    if not own.any():
        return NO_EDGES
    rows = rows.filter(own.fill_null(False))
    key = account_keys(*(rows.get_column(name) for name in ("platform", "author_id", "author_handle")))
    at = pl.col("author_at").dt.epoch("ms")
    found = rows.select(key.alias("a"), key.alias("b"), at.alias("at"), a_platform="platform", event="event_key")
    found = found.filter(pl.col("a") != 0).sort("at", "event").unique("a", keep="first", maintain_order=True)
    same = {name: pl.lit(value) for name, value in _SAME.items()}
    edges = found.with_columns(**same, rule_version=pl.lit(version))
    edges = edges.with_columns(edge_keys(edges).alias("edge"))
    return edges.select(pl.col(name).cast(type_) for name, type_ in EVIDENCE_COLUMNS.items())
