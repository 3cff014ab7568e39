"""The tables of a backup, as a server has them."""

from __future__ import annotations

from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line
from pipeline.errors import MigrationError
from pipeline.maintenance.backup_manifest import kept_tables

_TABLES = """
SELECT name, sorting_key, position(engine_full, ' TTL ') > 0, ifNull(total_bytes, 0) FROM system.tables
WHERE database = currentDatabase()"""
_COLUMNS = """
SELECT table, name, type FROM system.columns
WHERE database = currentDatabase() AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY table, position"""


class Table(NamedTuple):
    """A table that is kept."""

    columns: dict[str, str]
    """Name -> type."""
    key: tuple[str, ...]
    """The columns that it is sorted by: of rows that agree in them one stays. None: it is spread over a cluster."""
    expires: bool
    """Rows go when their time is over."""
    size: int
    """Bytes on the server's disk, about."""


def described(client: Client) -> dict[str, Table]:
    """Each kept table, in the order in which they are read. Raises EarshotError, MigrationError for one that is missing."""
    with one_line(client):
        columns: dict[str, dict[str, str]] = {}
        for table, name, type_ in client.query(_COLUMNS).result_rows:
            columns.setdefault(table, {})[name] = type_
        rows = client.query(_TABLES).result_rows
    there = {
        name: Table(columns.get(name, {}), tuple(key.split(", ")) if key else (), bool(expires), int(size))
        for name, key, expires, size in rows
    }
    if lacking := [name for name in kept_tables() if name not in there]:
        raise MigrationError(f"database {client.database} has no table {lacking[0]}: run `earshot migrate`")
    return {name: there[name] for name in kept_tables()}
