"""Which rows of an insert table interactions does not have."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from pipeline.clickhouse import row_versions

TABLE = "interactions"
"""The table whose rows are distinguished by revision, not by its key."""


def missing_rows(query: Callable[[str], pl.DataFrame], rows: pl.DataFrame, *, or_newer: bool = False) -> pl.DataFrame:
    """The rows whose revision is not stored; `or_newer`: nor a newer version of their event, by which a merge replaces them."""
    where = f"event_key IN ({','.join(map(str, rows.get_column('event_key').unique()))})"
    if "created_at" in rows.columns:
        where += f" AND {row_versions.minutes(rows.get_column('created_at'))}"
    stored = query(f"SELECT event_key, revision, version AS newest FROM {TABLE} WHERE {where}")
    newest = stored.group_by("event_key").agg(pl.col("newest").max())
    known = rows.select("event_key", "revision", "version").join(newest, on="event_key", how="left", maintain_order="left")
    there = pl.col("revision").is_in(stored.get_column("revision").implode())
    if or_newer:
        there |= (pl.col("newest") > pl.col("version")).fill_null(False)
    return rows.filter(~known.select(there).to_series())
