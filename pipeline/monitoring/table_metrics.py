"""Asks ClickHouse every 2 s whether it answers, so that /ready is true of an idle worker and of a control on standby; a worker
also asks every 30 s how many parts, rows and bytes the tables have."""

from __future__ import annotations

import logging
import threading
import time

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.errors import reason
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals

EVERY_S = 2.0
MEASURE_EVERY_S = 30.0
_TABLES = f"""
SELECT table, sum(parts), max(parts), sum(rows), sum(bytes)
FROM (
    SELECT table, partition_id, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
    FROM system.parts WHERE active AND database = currentDatabase() AND table IN {metrics.MEASURED} GROUP BY ALL
)
GROUP BY table
"""
_GAUGES = (metrics.TABLE_PARTS, metrics.PARTITION_PARTS, metrics.TABLE_ROWS, metrics.TABLE_BYTES)
log = logging.getLogger("earshot.clickhouse")


def keep_asking(client: Client, vitals: Vitals, question: str = "") -> None:
    """Asks on a daemon thread until the process ends. Without a question of the caller's it measures the tables, too."""

    def ask() -> None:
        pause, measured = threading.Event(), float("-inf")
        while not pause.wait(EVERY_S):
            try:
                client.command(question or "SELECT 1")
            except (ClickHouseError, OSError) as error:
                vitals.hold("clickhouse", reason(error))
                _forget_tables()
                measured = float("-inf")
                continue
            vitals.clear("clickhouse")
            if not question and time.monotonic() - measured > MEASURE_EVERY_S:
                measured = time.monotonic()
                measure_tables(client)

    threading.Thread(target=ask, name="ping", daemon=True).start()


def measure_tables(client: Client) -> None:
    """Sets the gauges of the tables. If the user may not read system.parts, it logs a line and clears them."""
    try:
        rows = client.query(_TABLES).result_rows
    except (ClickHouseError, OSError) as error:
        log.warning("system.parts can't be read: %s", reason(error))
        _forget_tables()
        return
    sizes = {table: values for table, *values in rows}
    for table in metrics.MEASURED:
        for gauge, value in zip(_GAUGES, sizes.get(table, (0, 0, 0, 0)), strict=True):
            gauge.labels(table).set(value)


def _forget_tables() -> None:
    for gauge in _GAUGES:
        gauge.clear()
