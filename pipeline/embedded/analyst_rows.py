"""Which rows users `analyst` and `console` read of the tables that they may read; deploy/clickhouse/analyst.xml and console.xml
have the same as row policies.

The embedded engine has no row policies: its setting additional_table_filters does the same for one connection, in views,
sub-queries and joins too. It does not reach merge(), mergeTreeIndex() and dictionaries, which embedded/analyst.py refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.embedded.analyst_names import WITHHELD, Rights

ROWS: Mapping[str, str] = {"interactions": "visibility != 'private' AND kind NOT IN ('message', 'email', 'call')"}
"""Table -> the condition on its newest rows; without one all are read. What is said in private is between two people."""
APART = {
    "query_plan_merge_filters": "0",
    "enable_join_runtime_filters": "0",
}
"""Pinned: an analyst's own expressions are computed on the rows that ROWS leaves. In one step with ROWS, which the engine would
make of both, some are computed on all rows; and a function that fails quotes the text that it failed on."""


def filters(database: str, rights: Rights) -> dict[str, str]:
    """The pinned settings for a connection to this database. Withheld tables are empty, should a view ever read one."""
    conditions = dict.fromkeys((table for table in WITHHELD if table not in rights.readable), "0") | dict(ROWS)
    tables = _map((f"{database}.{table}", condition) for table, condition in conditions.items())
    return APART | {"additional_table_filters": tables}


def _map(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{_literal(name)}: {_literal(value)}" for name, value in pairs) + "}"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
