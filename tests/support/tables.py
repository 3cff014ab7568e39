"""A database with Earshot's tables, for a test: a copy, as the migrations take four times as long."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.query_views import renew_views
from pipeline.config.settings import ClickHouseSettings
from schemas.queries import named_queries

_STATEMENTS = """
SELECT create_table_query FROM system.tables WHERE database = currentDatabase()
ORDER BY transform(engine, ['Dictionary', 'MaterializedView', 'View'], [0, 2, 3], 1)"""
_RECORDS = "SELECT * FROM schema_migrations"


class _Migrated(NamedTuple):
    """What the migrations leave in `database`: the statements that make it, and their records."""

    database: str
    statements: list[str]
    records: Sequence[Sequence[Any]]


_migrated: dict[str, _Migrated] = {}
"""By the server's URL."""


@contextmanager
def own_database(server: ClickHouseSettings, tables: bool = True) -> Iterator[ClickHouseSettings]:
    """A database that no other test sees, with today's tables unless `tables` is False."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with clickhouse_client(server) as client:
        client.command(f"CREATE DATABASE {name}")
        own = server.model_copy(update={"database": name})
        if tables:
            with clickhouse_client(own) as inside:
                _copy(inside, _migrations(server), name)
    yield own
    with clickhouse_client(server) as client:
        client.command(f"DROP DATABASE {name}")


def _copy(client: Client, migrated: _Migrated, name: str) -> None:
    for statement in migrated.statements:
        client.command(statement.replace(migrated.database, name))
    client.insert("schema_migrations", migrated.records)


def _migrations(server: ClickHouseSettings) -> _Migrated:
    if server.url not in _migrated:
        with own_database(server, tables=False) as own, clickhouse_client(own) as client:
            migrate_tables(client)
            renew_views(client, named_queries())
            statements = [row[0] for row in client.query(_STATEMENTS).result_rows]
            records = client.query(_RECORDS, query_tz="UTC", tz_mode="aware").result_rows
            _migrated[server.url] = _Migrated(own.database, statements, records)
    return _migrated[server.url]
