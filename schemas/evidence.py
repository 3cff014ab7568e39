"""Evidence: a record of topic identity, edges that a landing or an import found (schemas/identity.py says what an edge means).

    {"version": 1, "imported": false,
     "edges": {"kind": ["value"], "a": [123], "b": [456], "type": ["email"], "a_platform": ["twitter"], "b_platform": [""],
               "rule": ["email"], "rule_version": [1], "basis": ["given"], "at": [1795687262400], "event": [789],
               "claimed": [""], "hash": ["2-5f0c..."]}}

A list a column, all of one length. Edges may come again, and late: of an edge and basis the oldest counts. Records hold keys,
hashes of addresses and numbers, and public handles: no address, number or text of a person.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import polars as pl

from schemas.identity import EDGE_COLUMNS, edge_keys

VERSION = 1
LARGEST = 1_000
"""Edges of a record at most: some 200 kB."""
SENT_COLUMNS: dict[str, pl.DataType] = {
    **{name: type_ for name, type_ in EDGE_COLUMNS.items() if name != "held"},
    "claimed": pl.String(),
    "hash": pl.String(),
}
"""`claimed`: the handle that a claim names, without @; else blank. `hash`: of an address or a number the stored hash that `b`
is made of, so that who has later keys finds its later `b`; else blank, as in records of earlier releases."""
STORED_COLUMNS: dict[str, pl.DataType] = {"edge": pl.UInt64(), **EDGE_COLUMNS, "claimed": pl.String()}
"""Those of table identity_edges."""
EVIDENCE_COLUMNS: dict[str, pl.DataType] = {**STORED_COLUMNS, "hash": pl.String()}
"""The edges that rows, or a record, give: with their key, `held` 0."""
NO_EDGES = pl.DataFrame(schema=EVIDENCE_COLUMNS)
_FIRST_MS, _END_MS = 0, 7_258_118_400_000  # the year 2200, as a column holds it


def dump(edges: pl.DataFrame, imported: bool = False) -> Iterator[bytes]:
    """The records of these edges (EVIDENCE_COLUMNS, or SENT_COLUMNS). `imported`: of an import, which no breaker holds back."""
    for start in range(0, edges.height, LARGEST):
        columns = edges[start : start + LARGEST].select(list(SENT_COLUMNS)).to_dict(as_series=False)
        yield orjson.dumps({"version": VERSION, "imported": imported, "edges": columns})


def parse(record: bytes) -> tuple[pl.DataFrame, bool]:
    """EVIDENCE_COLUMNS, and whether they were imported. Raises ValueError for a record that is none, or of a later version."""
    try:
        values = orjson.loads(record)
        if values["version"] != VERSION:
            raise ValueError(f"version {values['version']!r}: this program reads version {VERSION}")
        columns = {"hash": [""] * len(values["edges"]["kind"]), **values["edges"]}
        frame = pl.DataFrame({name: pl.Series(columns[name], dtype=type_) for name, type_ in SENT_COLUMNS.items()})
        imported = values["imported"] is True
    except (KeyError, TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"no record of evidence: {type(error).__name__}") from None
    if any(frame.null_count().row(0)) or not frame.get_column("at").is_between(_FIRST_MS, _END_MS).all():
        raise ValueError("no record of evidence: a value is missing, or a time is no time")
    frame = frame.filter(pl.col("type") != "hand").with_columns(held=pl.lit(0, pl.UInt64))  # only stewards link by hand
    return frame.select(edge_keys(frame).alias("edge"), *EDGE_COLUMNS, "claimed", "hash"), imported
