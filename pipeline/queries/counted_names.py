"""Which brands and platforms stored rows name. Table quarters has them all, in milliseconds, but for rows that control has not
counted yet: those that landed within an hour, and those of before the table, while it is filled. Only these are read as rows.
"""

from __future__ import annotations

from pipeline.clickhouse.row_versions import quoted

_COLUMNS = {"brand": "toString(arrayJoin(brands))", "platform": "toString(platform)"}
_FILLED_FROM = (
    "(SELECT if(count() = 0, toDateTime('2106-01-01 00:00:00', 'UTC'), max(filled_from)) FROM rollup_marks FINAL "
    "WHERE rollup = 'quarters')"
)
_UNCOUNTED = ("ingested_at > now() - INTERVAL 1 HOUR", f"created_at < {_FILLED_FROM}")


def is_named_sql(what: str, name: str) -> str:
    """SELECT: a row if stored rows name this brand, or platform (`what`)."""
    of_row = f"has(brands, {quoted(name)})" if what == "brand" else f"platform = {quoted(name)}"
    counted = f"SELECT 1 FROM quarters WHERE {what} = {quoted(name)} AND {what} != ''"
    rows = (f"SELECT 1 FROM interactions WHERE {of_row} AND {uncounted}" for uncounted in _UNCOUNTED)
    return f"SELECT 1 FROM ({' UNION ALL '.join((counted, *rows))}) LIMIT 1"


def names_sql(what: str) -> str:
    """SELECT name: each brand, or platform, of stored rows, more than once maybe."""
    counted = f"SELECT DISTINCT toString({what}) AS name FROM quarters WHERE {what} != ''"
    rows = (f"SELECT DISTINCT {_COLUMNS[what]} AS name FROM interactions WHERE {uncounted}" for uncounted in _UNCOUNTED)
    return " UNION ALL ".join((counted, *rows))
