"""New versions of stored rows, made inside ClickHouse: `INSERT ... SELECT` from the newest version of each.

A row gets one only while its newest version still has the revision that was read, so an edit or a delete is never overwritten,
and labels or brands that others computed meanwhile go on into the new version. If two versions are made from one at the same
time, the step of the minor counter (schemas/events.py) decides which wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from schemas.labels import COLUMNS as SENTIMENT

COLUMNS_SQL = """
SELECT name FROM system.columns
WHERE database = currentDatabase() AND table = 'interactions' AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
ORDER BY position"""
"""The columns to write; ClickHouse computes the others from them for each version."""
ROW_KEY = "event_key, toStartOfMinute(created_at)"
"""By which a merge keeps the newest version. An event may have rows in several minutes (`earshot reconcile`)."""
LABEL_CHANGES = "(sentiment_status, sentiment_label, sentiment_model) != (_status, _label, _model)"
"""False for a row that has these label values already: a statement that runs twice writes once."""


def insert_versions(
    columns: Sequence[str], rows: pl.DataFrame, values: Mapping[str, str], step: int, key_range: str, where: str = "1"
) -> str:
    """The statement. `rows` (event_key, revision) get a version `step` higher than their newest, with `values` (column: SQL).

    `key_range` limits the scan, by the table's key; `where` is a condition on the newest version. The SQL may use the keys as
    `_keys`, and other values as `_brands` or, for sentiment_status, `_status`.
    """
    named = {f"_{column.removeprefix('sentiment_')}": sql for column, sql in values.items()}
    new = {column: column for column in columns} | {column: name for name, column in zip(named, values, strict=True)}
    new["version"] = f"version + {step}"
    aliases = [f"{sql} AS {name}" for name, sql in named.items()]
    revision = looked_up(rows.get_column("revision"))
    return (
        f"INSERT INTO interactions ({', '.join(new)}) "
        f"WITH {numbers(rows.get_column('event_key'))} AS _keys, {', '.join(aliases)} "
        f"SELECT {', '.join(new.values())} FROM "
        f"(SELECT * FROM interactions WHERE {key_range} AND event_key IN _keys ORDER BY version DESC LIMIT 1 BY {ROW_KEY}) "
        f"WHERE is_deleted = 0 AND revision = {revision} AND ({where})"
    )


def label_values(labels: pl.DataFrame) -> dict[str, str]:
    """`values` for the labels (labels.COLUMNS) of the rows."""
    return {column: looked_up(labels.get_column(column)) for column in SENTIMENT}


def looked_up(values: pl.Series) -> str:
    """SQL for the row's own value of `values`, which are in the order of `_keys`. A null becomes blank; a null number stays
    null."""
    # transform is a look-up in a hash map. A join with the values' table function took ten times as long.
    if values.dtype == pl.UInt64:
        return f"transform(event_key, _keys, {numbers(values)}, 0)"
    if values.dtype == pl.Float32:
        floats = ",".join(f"{value:.6g}" for value in values.fill_null(-1))
        return f"nullIf(transform(event_key, _keys, [{floats}]::Array(Float32), -1::Float32), -1)"
    texts = values.fill_null("") if values.dtype == pl.String else values.map_elements(_list, pl.String)
    distinct = texts.unique(maintain_order=True)
    numbered = texts.replace_strict(distinct, range(1, len(distinct) + 1), return_dtype=pl.UInt64)
    shown = distinct.to_list() if values.dtype != pl.String else map(quoted, distinct)
    return f"[{', '.join(shown)}][transform(event_key, _keys, {numbers(numbered)}, 0)]"


def numbers(values: Iterable[int]) -> str:
    """The numbers as a literal of SQL."""
    return f"[{','.join(map(str, values))}]::Array(UInt64)"


def quoted(text: str) -> str:
    """The text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]::Array(String)"


def minutes(created_at: pl.Series) -> str:
    """The `key_range` of rows that were created at these times."""
    starts = created_at.dt.strftime("'%Y-%m-%d %H:%M:00'").unique()
    return f"toStartOfMinute(created_at) IN ({','.join(starts)})"
