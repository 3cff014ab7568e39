"""What is read of table pending_changes."""

from __future__ import annotations

import polars as pl

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.sinks.pending import PendingTable


def test_the_changes_of_events_are_read_piece_by_piece(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        columns = "event_key, revision, platform, id, operation, occurred_at, partition, offset, arrived_at, done, change"
        rows = "number % 4, number + 1, 'x', '1', 'update', now(), 0, number, now(), number = 4, '{}'"
        client.command(f"INSERT INTO pending_changes ({columns}) SELECT {rows} FROM numbers(40)")
        table = PendingTable(Inserter(client, Fence(), Vitals(), "test"))
        keys, last = pl.Series([0, 3], dtype=pl.UInt64), (0, 0)
        found: list[tuple[int, int]] = []
        for _ in range(4):
            piece = table.of(keys.filter(keys >= last[0]), last, 6).select("event_key", "revision").rows()
            assert len(piece) == (6 if len(found) < 18 else 1)
            found, last = found + piece, piece[-1]
        there = [(number % 4, number + 1) for number in range(40) if number % 4 in (0, 3) and number != 4]
        assert found == sorted(there)
