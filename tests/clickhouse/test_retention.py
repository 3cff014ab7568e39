"""Times to live by the settings: given, changed, taken away, and never taken from somebody who set one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.retention import renew_retention
from pipeline.config.retention import TABLES, RetentionSettings
from pipeline.config.settings import ClickHouseSettings

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
