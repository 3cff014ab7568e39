"""ClickHouse is killed while many small inserts run: a killed server may know the token of an insert and not have its rows."""

from __future__ import annotations

import itertools
import random
import threading
import time
from datetime import UTC, datetime
from functools import partial

import polars as pl
import pytest

from pipeline.batch import Rejected
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from tests.support.letters import ROWS
from tests.support.worker import wait_for

THREADS, KILLS, ROWS_A_KILL = 12, 40, 6
AT = datetime(2026, 9, 1, tzinfo=UTC)


class Writer(threading.Thread):
    """Writes a row and a dead letter, again and again, and counts the acknowledged ones."""

    def __init__(self, settings: Settings, numbers: itertools.count[int], stop: threading.Event) -> None:
        super().__init__()
        self._client = clickhouse_client(settings.clickhouse, timeout_s=20)
        self._inserter = Inserter(self._client, Fence(lambda: 0.0), Vitals(), "landing")
        self._numbers, self._ended = numbers, stop
        self.rows: list[int] = []
        self.letters: list[int] = []

    def run(self) -> None:
        while not self._ended.is_set():
            number = next(self._numbers)
            row = {"event_key": [number], "revision": [number], "version": [1]}
            frame = pl.DataFrame(row, schema_overrides=dict.fromkeys(row, pl.UInt64)).with_columns(created_at=pl.lit(AT))
            assert not self._inserter.insert("interactions", frame, 0)
            self.rows.append(number)
            self._inserter.insert_all("dead_letters", ROWS.of([Rejected("decode", "no JSON", "t", 0, number, None, b"x")]), 0)
            self.letters.append(number)
        self._client.close()


def has(writers: list[Writer], rows: int) -> bool:
    return rows_of(writers) >= rows


def rows_of(writers: list[Writer]) -> int:
    """How many are acknowledged."""
    return sum(len(writer.rows) for writer in writers)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_each_acknowledged_row_is_there_once(stack: Stack, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command("SYSTEM STOP MERGES interactions")
    numbers, stop, rng = itertools.count(1), threading.Event(), random.Random(7)
    writers = [Writer(settings, numbers, stop) for _ in range(THREADS)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(KILLS):
            enough = rows_of(writers) + ROWS_A_KILL
            wait_for("rows are acknowledged", partial(has, writers, enough))
            time.sleep(rng.uniform(0, 0.3))
            stack.kill("clickhouse")
            stack.restart("clickhouse")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    with clickhouse_client(settings.clickhouse) as client:
        rows = [row[0] for row in client.query("SELECT event_key FROM interactions").result_rows]
        letters = {row[0] for row in client.query("SELECT offset FROM dead_letters FINAL").result_rows}
    written = {number for writer in writers for number in writer.rows}
    assert written <= set(rows) and len(rows) == len(set(rows))
    assert {number for writer in writers for number in writer.letters} <= letters
    assert len(written) >= ROWS_A_KILL * KILLS
