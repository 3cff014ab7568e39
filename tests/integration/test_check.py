"""`earshot check`: what account_events lacks is found by hour, and put right, also while workers insert."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.maintenance import check as module
from pipeline.maintenance.check import Hour, check_accounts
from schemas.identity import account_key
from tests.support.commands import Run

START = datetime(2026, 9, 30, 22, tzinfo=UTC)
COLUMNS = ("event_key", "version", "is_deleted", "platform", "author_id", "created_at")
KEYS = "SELECT event_key, account_key FROM account_events FINAL ORDER BY event_key"


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def row(key: int, author: str = "a", version: int = 1, deleted: int = 0, **more: Any) -> list[Any]:
    """Ten in an hour, over the end of a month."""
    values = dict(zip(COLUMNS, (key, version, deleted, "x", author, START + timedelta(minutes=6 * key)), strict=True))
    return list((values | more).values())


def insert(client: Client, *rows: list[Any]) -> None:
    client.insert("interactions", rows, COLUMNS)


def run(settings: Settings, repair: bool = False) -> list[Hour]:
    return check_accounts(settings.clickhouse, repair=repair, pause_s=0.01)


def kept(client: Client) -> dict[int, int]:
    return {int(event): int(account) for event, account in client.query(KEYS).result_rows}


def test_what_is_missing_is_found_by_hour_and_repaired(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 15)
    insert(client, *(row(key, author="" if key % 10 == 9 else f"author {key % 3}") for key in range(50)))
    insert(client, *(row(key, author=f"author {key % 3}", version=2) for key in range(0, 50, 7) if key % 10 != 9))
    whole = kept(client)
    assert len(whole) == 45 and run(settings) == []
    told: list[tuple[int, int]] = []
    assert check_accounts(settings.clickhouse, progress=lambda done, total: told.append((done, total))) == []
    assert told == [(0, 2), (1, 2), (2, 2)]

    client.command("DELETE FROM account_events WHERE event_key IN (3, 7, 41)")
    found = [Hour(START, 2, 0), Hour(START + timedelta(hours=4), 1, 0)]
    assert run(settings) == found == run(settings, repair=True)
    assert kept(client) == whole and run(settings) == []
    client.command("TRUNCATE TABLE account_events")
    assert sum(hour.missing for hour in run(settings, repair=True)) == 45
    assert kept(client) == whole and run(settings) == []


def test_keys_of_deleted_and_changed_events_go_and_come_back_with_their_row(settings: Settings, client: Client) -> None:
    insert(client, *(row(key) for key in range(4)))
    insert(client, row(0, author="", version=2, deleted=1), row(1, author="b", version=2))
    client.command("ALTER TABLE interactions DELETE WHERE event_key = 2", settings={"mutations_sync": 2})
    assert run(settings) == [Hour(START, 0, 3)] == run(settings, repair=True)
    assert kept(client) == {1: account_key("x", "b"), 3: account_key("x", "a")} and run(settings) == []
    # The author is the first one again, and what was lost is replayed.
    insert(client, row(0, version=3), row(1, version=3), row(2))
    assert run(settings, repair=True) == [Hour(START, 0, 1)]
    assert kept(client) == dict.fromkeys(range(4), account_key("x", "a")) and run(settings) == []


def test_an_insert_that_runs_meanwhile_is_no_fault(settings: Settings, client: Client) -> None:
    insert(client, row(0))
    client.command("DELETE FROM account_events WHERE event_key = 0")
    stop = threading.Event()

    def work() -> None:
        version = 1
        with clickhouse_client(settings.clickhouse) as other:
            while not stop.is_set():
                version += 1
                insert(other, *(row(key, author=f"author {version % 3}", version=version) for key in range(1, 40)))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        found = [run(settings, repair=True) for _ in range(5)]
    finally:
        stop.set()
        worker.join()
    assert found[0] == [Hour(START, 1, found[0][0].stale), *found[0][1:]]
    assert not [hour for hours in (found[0][1:], *found[1:]) for hour in hours if hour.missing]
    run(settings, repair=True)
    now = client.query("SELECT event_key, account_key FROM interactions FINAL ORDER BY event_key").result_rows
    assert list(kept(client).items()) == [tuple(row) for row in now]


def test_the_command_says_what_is_missing_and_what_it_did(stacked: Run, client: Client) -> None:
    none = "account_events: 0 rows are missing, 0 are of deleted or changed events\n"
    assert stacked("check")[:2] == (0, none)
    insert(client, *(row(key) for key in range(20)))
    client.command("DELETE FROM account_events WHERE event_key < 12")
    insert(client, row(19, author="", version=2, deleted=1))
    found = stacked("check")
    assert found.code == 1
    assert found.out.endswith("account_events: 12 rows are missing, 1 are of deleted or changed events\n")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in found.out.splitlines() if line.startswith("│")]
    assert cells == [["2026-09-30 22:00:00", "10", "0"], ["2026-09-30 23:00:00", "2", "1"]]
    assert stacked("check", "--repair").out.endswith("12 rows are missing, 1 are of deleted or changed events; repaired\n")
    assert stacked("check")[:2] == (0, none)
