"""Migration 036 over a table that is read and written: what was in its columns stays, whichever form a part has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import migrate_tables, read_migrations
from pipeline.config.settings import Settings
from tests.support.upgrades import migrations_before
from tests.support.worker import wait_for

MIGRATION = next(migration for migration in read_migrations() if migration.number == 36)
TEXTS = ["thread_status", "thread_team", "reaction", "order_currency", "measure_name", "sentiment_reason"]
CHANGED = [*TEXTS, "brands_linked", "text_sketch"]
ROW = ["event_key", "version", "platform", "kind", "direction", "text", "brands", "brands_linked", "created_at", *TEXTS]
DONE = "SELECT min(is_done) FROM system.mutations WHERE database = currentDatabase() AND table = 'interactions'"
MUTATIONS = DONE.replace("min(is_done)", "uniqExact(mutation_id)")
SAYINGS = ("an offer of theirs that nobody has seen", "чайник сгорел", "漢字仮名" * 40, "\0\0 binary \0", "x" * 900, "İ ẞ")


@pytest.fixture
def settings(bare: Settings) -> Settings:
    """Without tables: these tests make them."""
    return bare


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The migrations before it."""
    return migrations_before(MIGRATION.number, tmp_path)


def insert(client: Client, first: int, count: int) -> None:
    random, rows = Random(first), []
    for key in range(first, first + count):
        some = [random.choice(("", "", "", f"{name} {key % 7}")) for name in TEXTS]
        brands = random.choice(([], ["Acme"], ["Acme", "Bolt"]))
        text = f"{random.choice(SAYINGS)} {key % 50 or ''}"
        at, direction = f"2026-{key % 3 + 1:02}-05 10:00:00", random.choice(("inbound", "outbound", ""))
        rows.append([key, 1, "x", "post", direction, text, brands, brands[:1], at, *some])
    client.insert("interactions", rows, ROW)


def content(client: Client, until: int) -> list[tuple[object, ...]]:
    """Of the first rows, with FINAL and without."""
    columns, where = f"event_key, {', '.join(CHANGED)}", f"event_key < {until}"
    found = [
        client.query(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY event_key").result_rows
        for table in ("interactions", "interactions FINAL")
    ]
    assert found[0] == found[1]
    return [tuple(row) for row in found[0]]


def test_rows_keep_what_they_have_while_they_are_rewritten_and_when_it_is_run_again(client: Client, before: Path) -> None:
    migrate_tables(client, before)
    insert(client, 0, 1_000)
    client.command("OPTIMIZE TABLE interactions FINAL")
    insert(client, 1_000, 500)
    old, known = content(client, 1_500), int(str(client.command(MUTATIONS)))
    assert sum(bool(row[-1]) for row in old) > 200, "many have a sketch"

    client.command("SYSTEM STOP MERGES interactions")
    assert f"ClickHouse: applied {MIGRATION.name}" in migrate_tables(client)
    assert client.command(DONE) == 0, "old parts have the old form"
    insert(client, 1_500, 500)
    assert content(client, 1_500) == old and len(content(client, 9_999)) == 2_000
    # It was killed before its record was written: it comes again, and nothing is rewritten twice.
    client.command(f"DELETE FROM schema_migrations WHERE number = {MIGRATION.number}")
    assert migrate_tables(client) == [f"ClickHouse: applied {MIGRATION.name}"]
    assert int(str(client.command(MUTATIONS))) == known + 1

    every = content(client, 9_999)
    client.command("SYSTEM START MERGES interactions")
    wait_for("old parts are rewritten", lambda: client.command(DONE) == 1)
    client.command("OPTIMIZE TABLE interactions FINAL")
    assert content(client, 9_999) == every and every[:1_500] == old
    types = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = "
    for table in ("interactions", "interactions_now"):
        named = {name: type_ for name, type_ in client.query(f"{types}'{table}'").result_rows}
        assert {named[name] for name in TEXTS} == {"String"}, table
