"""Times to live by the settings: given, changed, taken away, and never taken from somebody who set one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.clickhouse.retention import renew_retention
from pipeline.config.retention import TABLES, RetentionSettings
from pipeline.config.settings import ClickHouseSettings
from pipeline.control.rollups import SETTINGS
from pipeline.rollups.check import Check
from pipeline.rollups.kept import ALL, Kept
from pipeline.rollups.rollup import Span, quarter_of, statements
from pipeline.rollups.tables import load_rollups

NOW = datetime.now(UTC).replace(microsecond=0)
NONE = RetentionSettings()


@pytest.fixture(scope="module")
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        yield client


def ttls(client: Client) -> dict[str, str]:
    rows = client.query(
        "SELECT name, extract(engine_full, ' TTL (.+?)(?: SETTINGS |$)') FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    return {name: ttl for name, ttl in rows if name in TABLES}


def test_each_table_gets_the_time_of_its_setting_and_loses_it(client: Client) -> None:
    before = ttls(client)
    assert renew_retention(client, NONE) == [] and before["dead_letters"] and not before["interactions"]
    given = RetentionSettings(tables={"interactions": 700, "dead_letters": 30, "account_events": 700})
    assert len(renew_retention(client, given)) == 3
    assert renew_retention(client, given) == [], "a second run changes nothing"
    assert ttls(client) == before | {
        "interactions": "toDateTime(created_at) + toIntervalDay(700 + (31 * is_deleted))",
        "account_events": "toDateTime(created_at) + toIntervalDay(700)",
        "dead_letters": "toDateTime(rejected_at) + toIntervalDay(30)",
    }
    assert len(renew_retention(client, RetentionSettings(tables={"dead_letters": 100}))) == 3
    assert ttls(client)["dead_letters"] == "toDateTime(rejected_at) + toIntervalDay(if(unreadable = 1, 90, 100))"
    assert len(renew_retention(client, NONE)) == 1 and ttls(client) == before
    other = RetentionSettings(tables={"interactions": 800}, platforms={"its": 3, "twitter": 30})
    lines = renew_retention(client, other)
    assert len(lines) == 3 and lines[-1].startswith("setting retention.platforms: nothing is stored of 'twitter' so far")
    assert [line for line in renew_retention(client, other) if line.startswith("ClickHouse")] == []
    assert renew_retention(client, NONE) == ["ClickHouse: interactions: no TTL any more"]
    assert ttls(client) == before


def test_a_time_that_somebody_set_stays(client: Client) -> None:
    client.command("ALTER TABLE dead_letters MODIFY TTL toDateTime(rejected_at) + INTERVAL 5 DAY")
    client.command("ALTER TABLE interactions MODIFY TTL toDateTime(created_at) + INTERVAL 5000 DAY")
    before = ttls(client)
    assert renew_retention(client, NONE) == [] and ttls(client) == before
    assert len(renew_retention(client, RetentionSettings(tables={"interactions": 700}))) == 1
    client.command("ALTER TABLE interactions MODIFY TTL toDateTime(created_at) + INTERVAL 4000 DAY")
    assert renew_retention(client, NONE) == [], "set by hand since"
    assert ttls(client) == before | {"interactions": "toDateTime(created_at) + toIntervalDay(4000)"}
    for table in ("dead_letters", "interactions"):
        client.command(f"ALTER TABLE {table} REMOVE TTL")


def test_what_is_too_old_goes_and_a_tombstone_later(client: Client) -> None:
    client.command("TRUNCATE TABLE interactions")
    ages = {"twitter": (5, 15, 35), "forum": (15, 35, 99)}
    rows = [
        (key, 1, deleted, platform, NOW - timedelta(days=days))
        for key, (platform, days, deleted) in enumerate(
            (platform, days, deleted) for platform, each in ages.items() for days in each for deleted in (0, 1)
        )
    ]
    client.insert("interactions", rows, ["event_key", "version", "is_deleted", "platform", "created_at"])
    renew_retention(client, RetentionSettings(tables={"interactions": 30}, platforms={"twitter": 10}))
    client.command("OPTIMIZE TABLE interactions FINAL SETTINGS mutations_sync = 1, alter_sync = 1")
    rows_left = client.query("SELECT platform, created_at, is_deleted FROM interactions", query_tz="UTC", tz_mode="aware")
    left = [(platform, (NOW - at).days, deleted) for platform, at, deleted in rows_left.result_rows]
    assert {(platform, days) for platform, days, deleted in left if not deleted} == {("twitter", 5), ("forum", 15)}
    assert {(platform, days) for platform, days, deleted in left if deleted} == {
        ("twitter", 5),
        ("twitter", 15),
        ("twitter", 35),
        ("forum", 15),
        ("forum", 35),
    }
    renew_retention(client, NONE)


COUNTED = {
    "quarters FINAL": "* EXCEPT (version, authors), finalizeAggregation(authors) AS authors",
    "account_quarters FINAL": "* EXCEPT version",
    "threads FINAL": "* EXCEPT version",
    "relations FINAL": "* EXCEPT version",
    "measures FINAL": "* EXCEPT version",
    "orders FINAL": "* EXCEPT version",
    "account_events": "*",
    "conversation_quarters": "DISTINCT *",
}


def counted(client: Client) -> dict[str, list[object]]:
    return {
        table: list(client.query(f"SELECT {columns} FROM {table} ORDER BY ALL").result_rows)
        for table, columns in COUNTED.items()
    }


def test_what_it_takes_stays_counted_whatever_is_made_anew(client: Client) -> None:
    """The rows of one platform go by their time to live, and those of the other by a partition that somebody drops."""
    client.command("TRUNCATE TABLE interactions")
    kinds = ("post", "like", "order", "measure")
    columns = ["event_key", "id", "platform", "kind", "created_at", "brands", "author_id", "text", "target", "order_id"]
    columns += ["conversation_id", "measure_name", "measure_value"]
    rows = [
        [
            100 * days + number, f"{platform}{days}{kind}", platform, kind, NOW - timedelta(days=days), ["Acme"], f"by{number}",
            "Acme", "Acme", f"o{days}", f"c{platform}{days}", "stars", 4.0,
        ]
        for platform, each in {"twitter": (5, 15), "forum": (99,)}.items() for days in each for number, kind in enumerate(kinds)
    ]  # fmt: skip
    client.insert("interactions", rows, columns)
    whole, ask = [Span(quarter_of(NOW - timedelta(days=100)), quarter_of(NOW))], asker(client)

    def make(kept: Kept, version: int) -> None:
        settings = {**SETTINGS, **kept.settings()}
        for rollup in load_rollups(None, None, kept):
            for statement in statements(rollup, whole, version, lambda sql, more: ask(sql, {**settings, **more})):
                client.command(statement, settings=settings)

    make(ALL, 1)
    before = counted(client)
    assert all(before.values()), {table: len(found) for table, found in before.items()}
    given = RetentionSettings(tables={"interactions": 90}, platforms={"twitter": 10})
    renew_retention(client, given)
    client.command(f"ALTER TABLE interactions DROP PARTITION ID '{NOW - timedelta(days=99):%Y%m}'")
    client.command("OPTIMIZE TABLE interactions FINAL SETTINGS mutations_sync = 1, alter_sync = 1")
    assert client.query("SELECT DISTINCT platform, dateDiff('day', created_at, now()) FROM interactions").result_rows == [
        ("twitter", 5)
    ]
    kept = Kept(given.tables["interactions"], given.platforms)
    make(kept, 2)
    assert counted(client) == before
    check = Check(lambda sql, more: ask(sql, {**SETTINGS, **kept.settings(), **more}), patience_s=0)
    assert check.run([(rollup, whole[0]) for rollup in load_rollups(None, None, kept)]) == []
    renew_retention(client, NONE)
