"""A rotation of keys is under way while table `rotating` is there: what would meet rows of two keys waits for its end.

Whoever is killed leaves the table: `earshot keys rotate` goes on, and takes it away.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line
from pipeline.errors import ConflictError

TABLE = "rotating"
_THERE = f"SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'"


def begin(client: Client) -> None:
    """Raises EarshotError."""
    with one_line(client):
        client.command(f"CREATE TABLE IF NOT EXISTS {TABLE} (at DateTime) ENGINE = MergeTree ORDER BY at")


def end(client: Client) -> None:
    """Raises EarshotError."""
    with one_line(client):
        client.command(f"DROP TABLE IF EXISTS {TABLE} SYNC")


def there(client: Client) -> bool:
    """Raises EarshotError."""
    with one_line(client):
        return bool(client.query(_THERE).result_rows)


def refuse(client: Client, what: str) -> None:
    """Raises ConflictError while keys are rotated: `what` is not done then. EarshotError if ClickHouse refuses."""
    if there(client):
        raise ConflictError(
            f"keys are being rotated in database {client.database}: {what} when `earshot keys rotate` has ended; if it was "
            "stopped, run it again"
        )
