"""Migrations against the real engine and the real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables, migrate_tables, read_migrations
from pipeline.config.settings import MAX_MESSAGE_BYTES, Settings
from pipeline.errors import MigrationError, UnreachableError
from pipeline.kafka.client import check_kafka
from pipeline.migrate import check, migrate
from schemas import events

ONE = "CREATE TABLE one (x UInt8) ENGINE = MergeTree ORDER BY x;\n"
TWO = """-- a comment;
CREATE TABLE two (x String DEFAULT ';') ENGINE = MergeTree ORDER BY x;

ALTER TABLE one ADD COLUMN y UInt8;
"""


@pytest.fixture
def settings(bare: Settings) -> Settings:
    """Without tables: these tests make them."""
    return bare


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    client = clickhouse_client(settings.clickhouse)
    yield client
    client.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "001_one.sql").write_text(ONE)
    return tmp_path


def columns(client: Client, table: str) -> list[str]:
    found = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {t:String} ORDER BY position",
        {"t": table},
    )
    return [name for (name,) in found.result_rows]


def test_migrate_makes_tables_and_topics_once(settings: Settings, client: Client) -> None:
    with pytest.raises(MigrationError, match="lacks migration 001_interactions: run `earshot migrate`"):
        check(settings)
    lines = migrate(settings)
    assert lines[0] == "ClickHouse: applied 001_interactions"
    assert f"created topic {settings.kafka.topic('events')}, partitions {settings.kafka.partitions}" in "\n".join(lines)
    check(settings)
    assert set(columns(client, "interactions")) > {field.column for field in events.FIELDS}
    topics = check_kafka(settings.kafka)
    assert topics[settings.kafka.topic("events")] == topics[settings.kafka.topic("dead-letter")] == settings.kafka.partitions
    assert not [line for line in migrate(settings) if "created" in line or "applied" in line]


def test_each_migration_is_applied_once_and_recorded(client: Client, folder: Path) -> None:
    assert migrate_tables(client, folder) == ["ClickHouse: applied 001_one"]
    (folder / "002_two.sql").write_text(TWO)
    with pytest.raises(MigrationError, match="lacks migration 002_two"):
        check_tables(client, folder)
    assert migrate_tables(client, folder) == ["ClickHouse: applied 002_two"]
    assert migrate_tables(client, folder) == ["ClickHouse: up to date (002_two)"]
    assert (columns(client, "one"), columns(client, "two")) == (["x", "y"], ["x"])
    recorded = client.query("SELECT number, name, finished_at >= started_at FROM schema_migrations FINAL ORDER BY number")
    assert recorded.result_rows == [(1, "001_one", 1), (2, "002_two", 1)]
    check_tables(client, folder)


def test_a_migration_that_comes_after_one_with_a_higher_number_is_applied(client: Client, folder: Path) -> None:
    """Two branches, each with its own, and the higher one was rolled out first."""
    (folder / "003_two.sql").write_text(TWO)
    assert migrate_tables(client, folder) == ["ClickHouse: applied 001_one", "ClickHouse: applied 003_two"]
    (folder / "002_between.sql").write_text(ONE.replace("one", "between"))
    with pytest.raises(MigrationError, match="lacks migration 002_between"):
        check_tables(client, folder)
    assert migrate_tables(client, folder) == ["ClickHouse: applied 002_between"]
    check_tables(client, folder)


def test_nothing_goes_on_over_a_half_applied_migration(client: Client, folder: Path) -> None:
    (folder / "002_two.sql").write_text(TWO.replace("TABLE one", "TABLE nowhere"))
    with pytest.raises(MigrationError, match="002_two, statement 2: .*nowhere"):
        migrate_tables(client, folder)
    (folder / "002_two.sql").write_text(TWO)
    (folder / "003_three.sql").write_text(ONE.replace("one", "three"))
    for step in (migrate_tables, check_tables):
        with pytest.raises(MigrationError, match="002_two was begun at .* and not finished"):
            step(client, folder)
    assert columns(client, "three") == []
    # What the message says to do helps.
    client.command("DROP TABLE two")
    client.command("DELETE FROM schema_migrations WHERE number = 2")
    assert migrate_tables(client, folder) == ["ClickHouse: applied 002_two", "ClickHouse: applied 003_three"]


def test_a_migration_whose_statements_may_run_twice_goes_on(client: Client, folder: Path) -> None:
    """As one that a large table kept for longer than a request may take."""
    two = "-- Repeatable.\nALTER TABLE one ADD COLUMN IF NOT EXISTS y UInt8;\n"
    (folder / "002_two.sql").write_text(two + "ALTER TABLE nowhere ADD COLUMN y UInt8;\n")
    with pytest.raises(MigrationError, match="002_two, statement 2: .*nowhere"):
        migrate_tables(client, folder)
    with pytest.raises(MigrationError, match="lacks migration 002_two: run `earshot migrate`"):
        check_tables(client, folder)
    (folder / "002_two.sql").write_text(two + "ALTER TABLE one ADD COLUMN IF NOT EXISTS z UInt8;\n")
    assert migrate_tables(client, folder) == ["ClickHouse: applied 002_two"]
    check_tables(client, folder)
    assert migrate_tables(client, folder) == ["ClickHouse: up to date (002_two)"]


def test_what_is_said_to_be_repeatable_may_run_twice(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        for migration in (migration for migration in read_migrations() if migration.repeats):
            client.command(f"DELETE FROM schema_migrations WHERE number = {migration.number}")
            assert migrate_tables(client) == [f"ClickHouse: applied {migration.name}"]


def test_an_edited_migration_is_refused(client: Client, folder: Path) -> None:
    migrate_tables(client, folder)
    (folder / "001_one.sql").write_text(ONE.replace("UInt8", "UInt16"))
    (folder / "002_two.sql").write_text(TWO)
    for step in (migrate_tables, check_tables):
        with pytest.raises(MigrationError, match="001_one was applied from another version of 001_one.sql"):
            step(client, folder)
    assert columns(client, "two") == []


def test_line_ends_are_no_edit(client: Client, folder: Path) -> None:
    migrate_tables(client, folder)
    (folder / "001_one.sql").write_bytes(ONE.replace("\n", "\r\n").encode())
    assert migrate_tables(client, folder) == ["ClickHouse: up to date (001_one)"]


def test_a_database_newer_than_the_program_is_refused(client: Client, folder: Path) -> None:
    (folder / "002_two.sql").write_text(TWO)
    migrate_tables(client, folder)
    (folder / "002_two.sql").unlink()
    for step in (migrate_tables, check_tables):
        with pytest.raises(MigrationError, match="at migration 002_two, newer than this program"):
            step(client, folder)


def test_check_names_a_table_that_is_gone_and_a_topic_that_is_missing(settings: Settings, client: Client, folder: Path) -> None:
    migrate_tables(client)
    with pytest.raises(MigrationError, match=rf"has no topic .*{settings.kafka.topic('dead-letter')}, .*run `earshot migrate`"):
        check(settings)
    migrate_tables(client)
    client.command("DROP TABLE dead_letters")
    with pytest.raises(UnreachableError, match="table dead_letters is missing"):
        check_tables(client)


def test_a_user_who_may_not_write_gets_one_line(settings: Settings, folder: Path) -> None:
    reader = clickhouse_client(settings.clickhouse.model_copy(update={"user": "analyst", "password": SecretStr("")}))
    with pytest.raises(MigrationError, match=r"ClickHouse at http://127.0.0.1:\d+: .*readonly"):
        migrate_tables(reader, folder)
    reader.close()


@pytest.mark.usefixtures("kafka")
def test_topics_get_their_configuration_and_differences_are_only_said(settings: Settings) -> None:
    migrate(settings)
    other = settings.kafka.model_copy(update={"partitions": settings.kafka.partitions + 1, "retention_ms": 1000})
    lines = migrate(settings.model_copy(update={"kafka": other}))
    topic = settings.kafka.topic("events")
    assert f"Kafka: topic {topic} is left as it is: it has 8 partitions, the settings say 9" in lines
    assert f"Kafka: topic {topic} is left as it is: retention.ms is -1, the settings say 1000" in lines
    assert check_kafka(settings.kafka)[topic] == settings.kafka.partitions
    assert not [line for line in lines if "max.message.bytes" in line and str(MAX_MESSAGE_BYTES) in line]


def test_the_programs_own_files_are_read_as_statements() -> None:
    statements = [text for migration in read_migrations() for text in migration.statements]
    beginnings = ("CREATE", "ALTER", "DROP", "RENAME", "INSERT", "SELECT sleep(")
    assert statements and all(text.startswith(beginnings) for text in statements)
    assert not [text for text in statements if text.endswith(";")]
