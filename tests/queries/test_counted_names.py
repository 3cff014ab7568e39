"""A brand or platform is known by table quarters; rows are read only where it does not count them yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.queries.counted_names import is_named_sql, names_sql


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def is_named(client: Client, what: str, name: str) -> bool:
    return bool(client.query(is_named_sql(what, name)).result_rows)


def names(client: Client, what: str) -> set[str]:
    return {name for (name,) in client.query(names_sql(what)).result_rows}


def test_names_are_those_of_counted_rows_and_of_rows_that_are_not_counted_yet(client: Client) -> None:
    client.command(
        "INSERT INTO interactions (event_key, version, platform, created_at, ingested_at, brands) VALUES "
        "(1, 1, 'old', '2025-01-01 00:00:00', '2025-01-01 00:00:00', ['It''s old', 'Both']), "
        "(2, 1, 'new', '2025-02-01 00:00:00', now64(3), ['New'])"
    )
    assert is_named(client, "brand", "It's old") and is_named(client, "platform", "old"), "nothing is filled"
    assert names(client, "brand") == {"It's old", "Both", "New"}

    client.command("INSERT INTO rollup_marks (rollup, filled_from, version) VALUES ('quarters', '2024-06-01 00:00:00', 1)")
    assert names(client, "brand") == {"New"} and names(client, "platform") == {"new"}, "an old row that is filled is not read"
    client.command(
        "INSERT INTO quarters (brand, quarter, platform) VALUES ('It''s old', '2025-01-01 00:00:00', 'old'), ('', 0, 'x')"
    )
    assert is_named(client, "brand", "It's old") and is_named(client, "brand", "New") and is_named(client, "platform", "x")
    assert not is_named(client, "brand", "Both") and not is_named(client, "brand", "") and not is_named(client, "platform", "y")
    assert names(client, "brand") == {"It's old", "New"} and names(client, "platform") == {"old", "new", "x"}

    client.command("INSERT INTO rollup_marks (rollup, filled_from, version) VALUES ('quarters', '2025-01-02 00:00:00', 2)")
    assert is_named(client, "brand", "Both"), "of before what is filled"
