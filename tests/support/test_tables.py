"""The copy of the tables that most tests have is what the migrations make."""

from __future__ import annotations

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.query_views import renew_views
from pipeline.config.settings import ClickHouseSettings, Settings
from schemas.queries import named_queries

MADE = "SELECT name, engine, replaceAll(create_table_query, currentDatabase(), '') FROM system.tables"


def made(clickhouse: ClickHouseSettings) -> set[tuple[str, str, str]]:
    with clickhouse_client(clickhouse) as client:
        assert migrate_tables(client)
        renew_views(client, named_queries())
        return {
            (name, kind, text) for name, kind, text in client.query(f"{MADE} WHERE database = currentDatabase()").result_rows
        }


def test_a_copy_is_what_the_migrations_make(settings: Settings, bare: Settings) -> None:
    assert made(settings.clickhouse) == made(bare.clickhouse)


def test_nothing_is_left_to_migrate(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        (line,) = migrate_tables(client)
    assert line.startswith("ClickHouse: up to date")
