"""docs/tables.md, made from the comments of the tables that user analyst reads: `python -m deploy.tables_reference` asks the
ClickHouse of the settings, where `earshot migrate` has run."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.load import load
from pipeline.embedded.analyst_names import QUERY_VIEWS, READABLE

PAGE = Path(__file__).parent.parent / "docs" / "tables.md"
TABLES = [name for name in READABLE if name not in QUERY_VIEWS]
HEAD = """# Tables

<!-- made by `python -m deploy.tables_reference` -->

What user analyst reads, beside the views of [named queries](analysts.md#named-queries). `DESCRIBE TABLE threads` says the same.
All times are UTC. Names in brackets: the columns by which rows are found fastest.
"""
_TABLES = (
    "SELECT name, comment, sorting_key FROM system.tables WHERE database = currentDatabase() AND name IN ({}) ORDER BY name"
)
_COLUMNS = (
    "SELECT table, name, type, default_kind, comment FROM system.columns WHERE database = currentDatabase() AND table IN ({}) "
    "ORDER BY table, position"
)
_SAME = {"interactions_now": "interactions"}
"""A view -> the table whose columns it has, too."""


def tables_page(client: Client) -> str:
    """The page, of the client's database."""
    names = ", ".join(map(quoted, TABLES))
    columns: dict[str, dict[str, tuple[str, str, str]]] = {}
    for table, name, *says in client.query(_COLUMNS.format(names)).result_rows:
        columns.setdefault(table, {})[name] = (says[0], says[1], says[2])
    parts = [HEAD]
    for table, comment, key in client.query(_TABLES.format(names)).result_rows:
        same = columns.get(_SAME.get(table, ""), {})
        more = f" All columns of {_SAME[table]}, and:" if same else f" ({key})" if key else ""
        parts.append(f"## {table}\n\n{comment}{more}\n")
        rows = [_row(name, *says) for name, says in columns.get(table, {}).items() if says[2] != "" or name not in same]
        parts.append("\n".join(["| column | type | |", "|---|---|---|", *rows, ""]) if rows else "")
    return "\n".join(part for part in parts if part)


def _row(name: str, kind: str, computed: str, comment: str) -> str:
    named = " Computed when it is read: name it, `SELECT *` leaves it out." if computed == "ALIAS" else ""
    return f"| `{name}` | {kind} | {comment.replace('|', chr(92) + '|')}{named} |"


if __name__ == "__main__":
    with closing(clickhouse_client(load().clickhouse)) as asked:
        PAGE.write_text(tables_page(asked))
