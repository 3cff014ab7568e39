"""Ping: whether ClickHouse answers, asked when nothing else asks it, so that /ready tells the truth of an idle worker."""

from __future__ import annotations

import threading

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.connections import reason
from pipeline.health import Vitals

EVERY_S = 2.0


def keep_asking(client: Client, vitals: Vitals) -> None:
    """Asks every two seconds on a daemon thread, for as long as the process lives."""

    def ask() -> None:
        pause = threading.Event()
        while not pause.wait(EVERY_S):
            try:
                client.command("SELECT 1")
            except (ClickHouseError, OSError) as error:
                vitals.hold("clickhouse", reason(error))
            else:
                vitals.clear("clickhouse")

    threading.Thread(target=ask, name="ping", daemon=True).start()
