"""The delivery log in ClickHouse: written while sending goes on, and read after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import UnreachableError
from pipeline.notify import delivery_log as log_module
from pipeline.notify.delivery_log import OUT_OF_HOURS, ClickHouseLog, Delivery, Sent, last_held, last_sent
from tests.support.notify import AT, until

KEY = 0xFFFFFFFFFFFFFFFE


def row(version: int = 1, attempt: int = 1, sent: bool = True, receiver: str = "ops", **fields: Any) -> Delivery:
    return Delivery(KEY, version, receiver, attempt, sent, "204" if sent else "timeout", 12, AT)._replace(**fields)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def written(client: Client) -> list[tuple[Any, ...]]:
    columns = ", ".join(Delivery._fields)
    answer = client.query(
        f"SELECT {columns} FROM alert_deliveries FINAL ORDER BY alert_key, version, receiver, attempt", tz_mode="aware"
    )
    return [tuple(row) for row in answer.result_rows]


async def test_rows_are_written_and_read_again(client: Client, settings: Settings) -> None:
    log = ClickHouseLog(lambda: clickhouse_client(settings.clickhouse))
    rows = [
        row(1, 1, sent=False),
        row(1, 2),
        row(2, 3),
        row(3, 4, sent=False, tried_at=datetime.now(UTC)),
        row(1, 1, False, "chat"),
    ]
    for one in rows:
        log.record([one])
    await log.close(10)
    assert sorted(written(client)) == sorted(
        tuple(one._replace(tried_at=one.tried_at.replace(microsecond=one.tried_at.microsecond // 1000 * 1000))) for one in rows
    )
    client.insert(
        "alerts",
        [(KEY, 2, "firing", 6, AT, AT, AT), (KEY, 3, "resolved", 6, AT, AT, AT)],
        column_names=["alert_key", "version", "state", "severity", "since", "last_at", "changed_at"],
    )
    assert last_sent(client, [KEY, 5]) == {
        (KEY, "ops"): Sent(2, "firing", 6, AT, 4),
        (KEY, "chat"): Sent(0, "", 0, datetime.fromtimestamp(0, UTC), 1),
    }
    assert last_sent(client, [5]) == last_sent(client, []) == {}


async def test_an_escalation_is_read_again_and_a_change_that_waits_for_hours_is_not_a_try(
    client: Client, settings: Settings
) -> None:
    log = ClickHouseLog(lambda: clickhouse_client(settings.clickhouse))
    off = row(1, 0, sent=False, receiver="chat", reason=f"{OUT_OF_HOURS}: mon-fri 08:00-18:00 UTC")
    log.record([off, row(1, 1), row(2, 1, receiver="pager")])
    await log.close(10)
    client.insert(
        "alerts",
        [(KEY, 1, "firing", 6, AT, AT, AT, None), (KEY, 2, "firing", 6, AT, AT, AT, AT)],
        column_names=["alert_key", "version", "state", "severity", "since", "last_at", "changed_at", "escalated_at"],
    )
    assert last_held(client, [KEY, 5]) == {(KEY, "chat"): 1} and last_held(client, [5]) == last_held(client, []) == {}
    assert last_sent(client, [KEY]) == {
        (KEY, "ops"): Sent(1, "firing", 6, AT, 1, escalated=False),
        (KEY, "pager"): Sent(2, "firing", 6, AT, 1, escalated=True),
    }
    client.command("DELETE FROM alert_deliveries WHERE receiver = 'chat'")
    log = ClickHouseLog(lambda: clickhouse_client(settings.clickhouse))
    log.record([off, row(1, 1), row(2, 1, receiver="pager")])  # a server that is killed may know them and lack one
    await log.close(10)
    assert last_held(client, [KEY]) == {(KEY, "chat"): 1}


class Store:
    """Stands for the client: away until it is there."""

    def __init__(self) -> None:
        self.rows: list[Delivery] = []
        self.there = Event()

    def insert(self, table: str, rows: list[Delivery], column_names: tuple[str, ...], settings: object) -> None:
        if not self.there.is_set():
            raise ConnectionResetError(104, "Connection reset by peer")
        self.rows += rows


async def test_while_clickhouse_is_away_nobody_waits_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_BACKOFF_S", (0.02,))
    store, tries = Store(), 0

    def connect() -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise UnreachableError("ClickHouse at http://nowhere, user default: Connection refused")
        return store

    log = ClickHouseLog(connect)
    started = time.monotonic()
    for n in range(1000):
        log.record([row(attempt=n)])
    assert time.monotonic() - started < 10, "twenty seconds, if each waited"
    await until(lambda: tries > 4)
    store.there.set()
    log.record([row(attempt=1000)])
    await until(lambda: len(store.rows) == 1001)
    assert [one.attempt for one in store.rows] == list(range(1001))
    await log.close(1)


async def test_what_is_kept_for_clickhouse_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_module, "MOST_ROWS", 100)
    store = Store()
    log = ClickHouseLog(lambda: store)  # type: ignore[arg-type,return-value]
    log.record([row(attempt=n) for n in range(150)])
    log.record([row(attempt=n) for n in range(150, 160)])
    assert caplog.text.count("rows are dropped") == 1
    store.there.set()
    await log.close(5)
    assert [one.attempt for one in store.rows] == list(range(60, 160))


async def test_it_closes_in_time_while_clickhouse_is_away(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    log = ClickHouseLog(lambda: store)  # type: ignore[arg-type,return-value]
    log.record([row(), row(2)])
    await asyncio.wait_for(log.close(0.5), 60)
    assert "2 rows of the delivery log are not written" in caplog.text
    await asyncio.sleep(0)
