"""An ended quarter-hour counts once, wherever what makes it whole was cut off: no signal speaks of it any more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.control.rollups import SETTINGS as OF_JOB
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import QUARTER_S, Span
from pipeline.rollups.table import ENDS_S
from pipeline.rollups.waiting import SETTLE_S
from tests.rollups.test_quarters import SPANS, insert, parts, row, same, table_of

ENDED = range(SPANS[0].first + 2, SPANS[0].first + 7)
SPAN = [Span(ENDED[0], ENDED[-1])]
BLOCKS: dict[str, object] = {"max_block_size": 1, "min_insert_block_size_rows": 1, "insert_deduplicate": 0}
"""Two rows each."""


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client
        for table in ("before", "cut_off"):
            client.command(f"DROP TABLE IF EXISTS {table}")


@pytest.mark.parametrize("statement", [Quarters().add_up(SPAN, 3), Quarters().rebuild(SPAN, 3)], ids=["add up", "rebuild"])
def test_what_is_cut_off_between_two_blocks_is_made_anew(client: Client, statement: str) -> None:
    """Of a statement of more than a million rows, where ClickHouse was killed after some of them: minutes were marked as gone
    before all of their whole was there, and what was missing stayed so."""
    rows = [row(20 + 16 * number, rating=4.5) for number in range(len(ENDED))]
    insert(client, *rows)
    minutes = range(ENDED[0] * 15, ENDED[-1] * 15 + 15)
    client.command(Quarters().rebuild_minutes(minutes, ENDED, 1), settings=OF_JOB)
    same(client, rows)
    client.command("CREATE TABLE before AS quarters")
    client.command("CREATE TABLE cut_off AS quarters")
    client.command("SYSTEM STOP MERGES cut_off")
    client.command("INSERT INTO before SELECT * FROM quarters")
    client.command(statement.replace("INSERT INTO quarters", "INSERT INTO cut_off"), settings=OF_JOB | BLOCKS)
    sql = "SELECT DISTINCT _part FROM cut_off ORDER BY toUInt32(splitByChar('_', _part)[2])"
    blocks = [name for (name,) in client.query(sql).result_rows]
    assert len(blocks) >= len(ENDED)

    for written in range(len(blocks) + 1):
        client.command("TRUNCATE TABLE quarters SYNC")
        client.command("INSERT INTO quarters SELECT * FROM before", settings=BLOCKS)
        client.command(f"INSERT INTO quarters SELECT * FROM cut_off WHERE _part IN {blocks[:written]}", settings=BLOCKS)
        table = table_of(client)  # of the next control
        assert table.tidy([ENDED[-1] + 1]) is not None and not table.failure
        table._clock = lambda: time.time() + 60
        table.older([ENDED[-1] + 1])
        assert not table.failure and not len(table.waiting)
        same(client, rows)
        assert all(parts(client, quarter) == [0] for quarter in ENDED), f"{written} blocks"


def test_what_a_killed_control_writes_late_to_a_running_quarter_is_not_added_up(client: Client) -> None:
    """A row that was deleted meanwhile: the next control did not know its key, and so did not take it away."""
    running, now = ENDED[0], [ENDED[0] * QUARTER_S + 120.0]
    rows = [row(20 + number, rating=4.5) for number in range(3)]
    insert(client, *rows, gone := row(19 + 4, rating=4.5, brands=["Gone"]))
    client.command("CREATE TABLE before AS quarters")
    late = Quarters().rebuild_minutes(range(running * 15, running * 15 + 15), [running], 1)
    client.command(late.replace("INSERT INTO quarters", "INSERT INTO before"), settings=OF_JOB)
    insert(client, gone | {"version": 2, "is_deleted": 1})

    table = table_of(client)
    table._clock = lambda: now[0]
    table.others_end_at = now[0] + ENDS_S
    table.waiting.touch(running, 7, now[0], {0})
    assert table.running([running]) is not None and not len(table.waiting)
    same(client, rows)
    client.command("INSERT INTO quarters SELECT * FROM before")
    now[0] += 1_000
    table.running([running + 1])
    now[0] += SETTLE_S
    table.older([running + 1])
    assert not table.failure and not len(table.waiting)
    same(client, rows)
    assert parts(client, running) == [0]
