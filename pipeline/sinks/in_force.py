"""Tables files_in_force and panels: what the files say that control goes by, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from pipeline.clickhouse.query import Query
from schemas.times import TIME

Rows = tuple[str, pl.DataFrame]
"""(table, its rows)."""
_FILES = "SELECT toString(file) AS file, argMax(hash, since) AS newest FROM files_in_force GROUP BY file"
_PANELS = """
SELECT toString(brand) AS brand, max(version) AS last, argMax(competitors, version) AS names FROM panels GROUP BY brand"""


def changed_files(query: Query, hashes: Mapping[str, str], now: datetime) -> Rows:
    """A row for each file whose newest row has another hash."""
    known = dict(query(_FILES).iter_rows())
    changed = [(file, now, digest) for file, digest in sorted(hashes.items()) if known.get(file) != digest]
    return "files_in_force", pl.DataFrame(changed, {"file": pl.String, "since": TIME, "hash": pl.String}, orient="row")


def changed_panels(query: Query, panels: Mapping[str, Sequence[str]], now: datetime) -> Rows:
    """The next version of each brand that has other competitors than its newest; their order says nothing. A brand without
    competitors has no version if it never had any."""
    known = {brand: (last, list(names)) for brand, last, names in query(_PANELS).iter_rows()}
    changed = list[tuple[str, int, datetime, list[str]]]()
    for brand in sorted({*known, *panels}):
        names = sorted(set(panels.get(brand, ())))
        last, before = known.get(brand, (0, list[str]()))
        if names != before:
            changed.append((brand, last + 1, now, names))
    columns = ("brand", pl.String), ("version", pl.UInt32), ("since", TIME), ("competitors", pl.List(pl.String))
    return "panels", pl.DataFrame(changed, columns, orient="row")
