"""Files in force and panels: a row for what has changed, none for what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.sinks.in_force import changed_files, changed_panels

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def note(client: Client, later: int, hashes: Mapping[str, str], panels: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """Writes what has changed; returns how many rows of each table."""
    ask, now = asker(client), NOW + timedelta(seconds=later)
    both = changed_files(lambda sql: ask(sql, {}), hashes, now), changed_panels(lambda sql: ask(sql, {}), panels, now)
    for table, rows in both:
        if rows.height:
            client.insert_arrow(table, rows.to_arrow())
    return both[0][1].height, both[1][1].height


def test_only_what_changes_is_noted(client: Client) -> None:
    assert note(client, 0, {"alerts.yaml": "a", "brands.yaml": "b"}, {"Acme": ["Dune", "Bolt"]}) == (2, 1)
    assert note(client, 1, {"alerts.yaml": "a", "brands.yaml": "b"}, {"Acme": ["Bolt", "Dune", "Bolt"]}) == (0, 0), (
        "their order"
    )
    assert note(client, 2, {"alerts.yaml": "a", "brands.yaml": "c"}, {}) == (1, 1)
    assert note(client, 3, {"brands.yaml": "c"}, {}) == (0, 0), "another process may know fewer files"
    assert note(client, 4, {"alerts.yaml": "a", "brands.yaml": "b"}, {"Acme": ["Bolt", "Dune"], "Bolt": ["Acme"]}) == (1, 2)
    panels = client.query("SELECT brand, version, toSecond(since), competitors FROM panels FINAL ORDER BY brand, version")
    assert panels.result_rows == [
        ("Acme", 1, 0, ["Bolt", "Dune"]),
        ("Acme", 2, 2, []),
        ("Acme", 3, 4, ["Bolt", "Dune"]),
        ("Bolt", 1, 4, ["Acme"]),
    ]
    files = client.query("SELECT toSecond(since), file, hash FROM files_in_force FINAL ORDER BY since, file").result_rows
    assert files == [(0, "alerts.yaml", "a"), (0, "brands.yaml", "b"), (2, "brands.yaml", "c"), (4, "brands.yaml", "b")]
