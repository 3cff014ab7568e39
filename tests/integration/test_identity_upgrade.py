"""Migrations 017 and 018 over a database with rows: old ones get their account's key, and account_events all of them, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import FOLDER, migrate_tables
from pipeline.config.settings import Settings
from pipeline.errors import MigrationError
from schemas.identity import account_key
from tests.support.upgrades import migrations_before
from tests.support.worker import wait_for

AUTHORS = [
    ("twitter", "17", "@Ann"), ("twitter", "", "@Ann"), ("twitter", "", "ann"), ("twitter", "", "@@ann"), ("twitter", "", "@"),
    ("twitter", "", ""), ("vk", "17", ""), ("crm", "Ä-1", ""), ("mail", "", "ÄNNE@Example.org"), ("vk", "", "Straße İı"),
    ("vk", "", " @x "), ("vk", "", "@'\\`\""), ("vk", "👩‍👩‍👧", "x"), ("a.b_c-d", "a:b", "c:d"), ("x", "0", "\t"),
]  # fmt: skip
OLD_ROW = ["event_key", "version", "is_deleted", "platform", "author_id", "author_handle", "created_at"]
EVENTS = "SELECT event_key, account_key FROM account_events FINAL ORDER BY event_key"
KEYS = "SELECT event_key, account_key FROM interactions WHERE version = 1 AND event_key < 20"
LATER = "2026-03-01 00:00:00"


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
    """The migrations before those of identity."""
    return migrations_before(17, tmp_path)


def pairs(client: Client, sql: str) -> dict[int, int]:
    return {int(first): int(second) for first, second in client.query(sql).result_rows}


def test_old_rows_get_their_accounts_key_and_account_events_has_each_once(client: Client, before: Path) -> None:
    migrate_tables(client, before)
    insert = f"INSERT INTO interactions ({', '.join(OLD_ROW)})"
    rows = [[key, 1, 0, *author, f"2026-01-{key:02} 00:00:00"] for key, author in enumerate(AUTHORS, 1)]
    client.insert("interactions", rows, OLD_ROW)
    client.command(f"{insert} SELECT 1, 2, 1, 'twitter', '', '', '2026-01-01 00:00:00'")  # deleted: a tombstone names nobody
    client.command(
        f"{insert} SELECT 2, 2, 1, platform, author_id, author_handle, created_at FROM interactions WHERE event_key = 2"
    )
    client.command(f"{insert} SELECT 1000 + number, 1, 0, 'vk', number, '', '2026-02-01 00:00:00' FROM numbers(10000)")

    # The first try breaks off in the middle, and a worker goes on; then all of it comes once more.
    migration = (FOLDER / "018_account_events.sql").read_text()
    (before / "017_identity.sql").write_text((FOLDER / "017_identity.sql").read_text())
    broken = migration.replace("account_key != 0;\n\n--", "account_key != 0 AND throwIf(event_key = 9000) = 0;\n\n--")
    assert broken != migration
    (before / "018_account_events.sql").write_text(broken)
    with pytest.raises(MigrationError, match="018_account_events, statement 7: "):
        migrate_tables(client, before)
    client.command(f"{insert} SELECT 20, 1, 0, 'vk', 'new', '', '{LATER}'")
    assert "ClickHouse: applied 018_account_events" in migrate_tables(client)

    keys = {key: account_key(*author) for key, author in enumerate(AUTHORS, 1)}
    assert pairs(client, KEYS) == keys and list(keys.values()).count(0) == 2
    # The one whose tombstone names nobody is still there; whoever reads it looks for the row.
    expected = {key: number for key, number in keys.items() if number and key != 2} | {20: account_key("vk", "new")}
    expected |= {1000 + number: account_key("vk", str(number)) for number in range(10_000)}
    assert pairs(client, EVENTS) == expected

    wait_for(
        "old rows have what queries need",
        lambda: client.command("SELECT min(is_done) FROM system.mutations WHERE database = currentDatabase()") == 1,
    )
    assert pairs(client, KEYS) == keys
    index = "FROM system.data_skipping_indices WHERE database = currentDatabase() AND name = 'handles'"
    assert client.command(f"SELECT data_compressed_bytes > 0 {index}") == 1


def test_an_insert_that_runs_while_the_view_is_made_is_not_lost(settings: Settings, client: Client, before: Path) -> None:
    """It began without the view, and its rows appear after those of before were read."""
    migrate_tables(client, before)
    names = f"{', '.join(OLD_ROW)}, ingested_at"
    row = "SELECT {}, 1, 0, 'vk', 'a', '', '2026-01-01 00:00:00', now()"
    client.command(f"INSERT INTO interactions ({names}) {row.format(1)}")
    (before / "017_identity.sql").write_text((FOLDER / "017_identity.sql").read_text())
    migrate_tables(client, before)
    slow = f"INSERT INTO interactions ({names}) {row.format(2)} FROM numbers(1) WHERE sleepEachRow(2.5) = 0"
    with clickhouse_client(settings.clickhouse) as other, ThreadPoolExecutor(1) as pool:
        insert = pool.submit(other.command, slow)
        mine = "current_database = currentDatabase() AND query LIKE 'INSERT INTO interactions%'"
        running = f"SELECT count() FROM system.processes WHERE {mine}"
        wait_for("it runs", lambda: client.command(running) == 1, every=0.02)
        assert "ClickHouse: applied 018_account_events" in migrate_tables(client)
        insert.result()
    assert sorted(pairs(client, EVENTS)) == [1, 2]


def test_the_views_say_who_is_whose_customer_now_and_then(settings: Settings, client: Client) -> None:
    migrate_tables(client, login=settings.clickhouse)
    insert = f"INSERT INTO interactions ({', '.join(OLD_ROW)})"
    client.command(f"{insert} SELECT number, 1, 0, 'vk', number, '', '2026-01-01 00:00:00' FROM numbers(3)")
    one, two, three = (account_key("vk", str(number)) for number in range(3))
    client.command(f"INSERT INTO assignments VALUES ({one}, {one}, 1, 0), ({two}, {one}, 1, 0)")
    client.command(
        "INSERT INTO assignment_changes VALUES"
        f" (1, {two}, {two}, {one}, 0, '2026-01-02 00:00:00'), (2, {three}, {three}, {one}, 3, '2026-01-03 00:00:00'),"
        f" (3, {three}, {one}, {three}, 4, '2026-01-04 00:00:00')"
    )
    client.command("SYSTEM RELOAD DICTIONARY customer_of")
    now = client.query("SELECT account_key, customer_now FROM interactions_now ORDER BY event_key").result_rows
    assert now == [(one, one), (two, one), (three, three)]
    as_of = "SELECT profile, customer FROM assignments_as_of(at = '2026-01-{day} 00:00:00')"
    known = [pairs(client, as_of.format(day=day)) for day in ("01", "02", "03", "04")]
    assert known == [{}, {two: one}, {two: one, three: one}, {two: one, three: three}]
