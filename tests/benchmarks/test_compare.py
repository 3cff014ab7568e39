"""Outputs are compared row by row, and an event that nobody saw is no fast event."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from benchmarks.compare import differences
from benchmarks.visible import Positions
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.migrate import migrate

ROW = "INSERT INTO {0} (event_key, id, platform, text, brands, metrics_likes) VALUES ({1}, '{1}', 'forum', 'so', {2}, {3})"


@pytest.fixture
def tables(settings: Settings) -> Iterator[Client]:
    """Tables `interactions` and `theirs` with the same two rows; the second one knows nothing of positions and revisions."""
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        client.command("CREATE TABLE theirs AS interactions")
        client.command("SYSTEM STOP MERGES theirs")
        for table in ("interactions", "theirs"):
            client.command(ROW.format(table, 1, "['Acme', 'Zeta']", 7))
            client.command(ROW.format(table, 2, "[]", "NULL"))
        client.command("ALTER TABLE interactions UPDATE revision = 5, offset = 9 WHERE 1 SETTINGS mutations_sync = 1")
        yield client


def test_equal_events_are_equal(tables: Client) -> None:
    assert differences(tables, "interactions", "theirs") == []


def test_another_brand_is_found_in_both_directions(tables: Client) -> None:
    tables.command(ROW.format("interactions", 3, "['Acme']", 1))
    tables.command(ROW.format("theirs", 3, "[]", 1))
    assert differences(tables, "interactions", "theirs") == ["only interactions has 3 ['Acme']", "only theirs has 3 []"]


def test_another_value_is_found(tables: Client) -> None:
    tables.command(ROW.format("interactions", 3, "[]", 0))
    tables.command(ROW.format("theirs", 3, "[]", "NULL"))
    assert len(differences(tables, "interactions", "theirs")) == 2


def test_a_row_twice_is_found(tables: Client) -> None:
    tables.command("INSERT INTO theirs SELECT * REPLACE (77 AS offset) FROM theirs WHERE id = '1'")
    assert differences(tables, "interactions", "theirs")[0] == "interactions has 2 rows, theirs has 3"


def test_an_event_that_was_never_seen_fails_the_latency() -> None:
    positions = Positions([10, 0], 3)
    positions.sent[0, :2] = 1.0
    positions.seen[0, :1] = 1.5
    with pytest.raises(RuntimeError, match="1 events were never seen"):
        positions.times()
    positions.seen[0, 1] = 2.0
    assert np.array_equal(positions.times(), [0.5, 1.0])
