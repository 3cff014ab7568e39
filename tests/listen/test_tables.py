"""The tables of a listener, in a real ClickHouse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import ClickHouseSettings
from pipeline.listen.driver import Gap
from pipeline.listen.record import COPY_BYTES, Record
from pipeline.listen.tables import Health, Seen, Tables, unheard
from tests.support.driving import source

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def health(source: str, reason: str = "") -> Health:
    return Health(source, "rss", "running", reason, None, NOON, None, None, 0, 0, {}, None, "host:1", NOON)


def test_of_a_clock_that_was_ahead_no_source_was_heard_later_than_now() -> None:
    seen = Seen(NOON + timedelta(days=1), NOON - timedelta(hours=1))
    assert unheard(source(platform="rss", url="https://news.example/"), "running", NOON, seen)[6:8] == (NOON, seen.last_event)


async def test_a_row_of_a_clock_that_was_ahead_hides_none(module_database: ClickHouseSettings) -> None:
    """Nor does a column of a later version keep any out."""
    connect = partial(clickhouse_client, module_database)
    with connect() as client:
        client.command("ALTER TABLE source_health ADD COLUMN later UInt8 DEFAULT 7")
    for at, state in (NOON + timedelta(days=1), "running"), (NOON, "failing"):  # another listener, or the clock was set back
        tables = Tables(connect)
        assert await tables.newer("jumps", None) is None
        tables.note(health("jumps")._replace(state=state, written_at=at))
        await tables.close()
    with connect() as client:
        now = client.query("SELECT state, later FROM source_health FINAL WHERE source = 'jumps'").result_rows
        client.command("DELETE FROM source_health WHERE source = 'jumps'")
        client.command("ALTER TABLE source_health DROP COLUMN later")
    assert now == [("failing", 7)]


@pytest.mark.logs_errors
async def test_a_row_that_no_table_takes_keeps_no_other_out(module_database: ClickHouseSettings) -> None:
    connect = partial(clickhouse_client, module_database)
    tables = Tables(connect)
    broken = "half a letter: \ud83d"
    tables.gap("broken", "rss", Gap("", "", broken))
    tables.gap("whole", "rss", Gap("", "", "the feed had only ten entries"))
    tables.keep(Record("whole", "feed", 1, 1, items=bytes(COPY_BYTES)))
    tables.keep(Record("large", "feed", 1, 1, items=bytes(COPY_BYTES)))
    tables.note(health("broken", broken))
    tables.note(health("whole"))
    tables.note(health("old")._replace(last_contact=NOON, every_s=300.0))
    tables.note_gone({"whole", "broken"}, NOON)
    await tables.close()
    with connect() as client:
        gone = client.query("SELECT state, platform, last_contact FROM source_health WHERE source = 'old'").result_rows
        assert gone == [("gone", "rss", NOON.replace(tzinfo=None))], "sources.yaml lacks it"
        client.command("DELETE FROM source_health WHERE source = 'old'")
        (inserts,) = client.query("SELECT count() FROM system.parts WHERE table = 'source_cursors'").result_rows[0]
        assert inserts == 2, "large records are not all in memory at once"
        client.command("DELETE FROM source_cursors WHERE source = 'large'")
        for table in "source_gaps", "source_cursors", "source_health":
            assert client.query(f"SELECT source FROM {table}").result_rows == [("whole",)], table
