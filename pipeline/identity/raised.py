"""Evidence of workers with earlier keys (schemas/hashes.py): an edge of an address or a number becomes that of its hash by the
newest key."""

from __future__ import annotations

import polars as pl

from pipeline.identity.rules_file import Hashes
from schemas.hashes import STORED
from schemas.identity import edge_keys, value_keys

TYPES = ("email", "phone")
"""Types of values whose keys are made of keyed hashes."""


def raised(evidence: pl.DataFrame, hashes: Hashes) -> pl.DataFrame:
    """EVIDENCE_COLUMNS, with `b`, and the edge's key, of the hash that the newest key makes of `hash`."""
    stored = [each for each in evidence.get_column("hash").unique() if each]
    moved = {old: new for old, new in zip(stored, hashes(STORED, stored), strict=True) if old != new}
    if not moved:
        return evidence
    digests = evidence.get_column("hash").replace(moved)
    evidence = evidence.with_columns(digests.alias("hash"), old=evidence.get_column("hash").is_in(list(moved)))
    for type_ in TYPES:
        keys = value_keys(type_, digests)
        evidence = evidence.with_columns(b=pl.when(pl.col("old") & (pl.col("type") == type_)).then(keys).otherwise(pl.col("b")))
    return evidence.with_columns(edge_keys(evidence).alias("edge")).drop("old")
