"""quality equals an independent count, source by source; audit names each change with who made it, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import read_migrations
from pipeline.clickhouse.query import frame
from pipeline.config.settings import ClickHouseSettings
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Span
from schemas.queries import named_queries
from schemas.times import TIME
from tests.queries.events import events, newest
from tests.support.queries import asked, called

# A day of last week: tables let go of what is old.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=7)
NEXT = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        yield client


def ask(client: Client, name: str) -> pl.DataFrame:
    query = named_queries()[name]
    span: dict[str, str | list[str]] = {"from": f"{DAY:%F}", "to": f"{NEXT:%F}"}
    return frame(client, f"SELECT * FROM {called(query, asked(query, **span))}", {}, {})


def test_quality(client: Client) -> None:
    """Rows land over three days, of which the middle one is asked for; a second version arrives later."""
    rows = events(20_000).with_columns(
        # Within hours of their creation, as seconds in the key say.
        created_at=(
            pl.lit(DAY - timedelta(hours=26)) + pl.duration(milliseconds=(pl.col("event_key") * 7_919 % (72 * 3_600_000)))
        ).cast(TIME),
        sentiment_status=pl.Series(["labelled", "deferred", "unknown", ""] * 5_000),
    )
    lateness = pl.duration(milliseconds=(pl.col("event_key") * 104_729 % 7_200_000))
    rows = rows.with_columns(landed_at=pl.col("created_at") + lateness)
    rows = rows.with_columns(ingested_at=pl.col("landed_at") + pl.duration(days=pl.col("version") - 1))
    client.insert_arrow("interactions", rows.to_arrow())
    client.command(
        "INSERT INTO dead_letters (topic, offset, raw, rejected_at) VALUES "
        f"""('t', 1, '{{"source": {{"name": "one"}}}}', '{DAY:%F} 10:00:00'), ('t', 2, '"no object"', '{DAY:%F} 11:00:00'), """
        f"""('t', 3, '{{"source": {{"name": "one"}}}}', '{NEXT:%F}'), ('t', 4, '{{"source": 3}}', '{DAY:%F} 00:00:00')"""
    )
    landed = newest(rows).filter(pl.col("landed_at").is_between(DAY, NEXT, closed="left"))
    seconds = (pl.col("landed_at") - pl.col("created_at")).dt.total_milliseconds() / 1000
    texts = pl.struct("platform", "author_id", "text").n_unique()
    expected = landed.group_by(source="source_name").agg(
        events=pl.len(),
        duplicates=pl.len() - texts,
        lateness=seconds.sort().get(pl.len() // 2),
        lateness_p95=seconds.sort().get((pl.len() * 0.95).cast(pl.Int64)),
        late=(seconds > 3600).sum(),
        deferred=(pl.col("sentiment_status") == "deferred").sum(),
        unknown=(pl.col("sentiment_status") == "unknown").sum(),
    )
    found = ask(client, "quality")
    assert found.filter(pl.col("source") == "").select("events", "rejects", "lateness").rows() == [(0, 2, None)]
    assert found.filter(pl.col("rejects") > 0).select("source", "rejects").sort("source").rows() == [("", 2), ("one", 1)]
    both = found.filter(pl.col("source") != "").sort("source").drop("rejects")
    assert both.rows() == expected.select(both.columns).sort("source").rows() and both.height == 2


def test_audit(client: Client) -> None:
    client.command("TRUNCATE TABLE interactions")
    client.command(
        "INSERT INTO identity_commands (sequence, action, a, b, by, why, refused, done_at) VALUES "
        f"(1, 'link', 255, 16, 'ann', 'same phone', '', '{DAY:%F} 10:00:00'), "
        f"(2, 'split', 255, 0, 'ben', 'no', 'it is alone', '{DAY:%F} 11:00:00'), "
        f"(3, 'link', 1, 2, 'ann', '', '', '{NEXT:%F} 00:00:00')"
    )
    client.command(f"INSERT INTO identity_rules VALUES (2, '{{}}', 'eve', '{DAY:%F} 12:00:00')")
    client.command(
        "INSERT INTO alerts (alert_key, version, rule, brand, platform, state, actor, comment, changed_at) VALUES "
        f"(1, 1, 'volume', 'Acme', '', 'firing', '', '', '{DAY:%F} 13:00:00'), "
        f"(1, 2, 'volume', 'Acme', '', 'acknowledged', 'ann', 'on it', '{DAY:%F} 14:00:00')"
    )
    client.command(
        "INSERT INTO alert_silences (silence_id, version, rule, brand, ends_at, actor, comment, changed_at) VALUES "
        f"(1, 1, '', 'Acme', '{NEXT + timedelta(days=1):%F} 00:00:00', 'ben', 'launch', '{DAY:%F} 15:00:00')"
    )
    client.command(
        "INSERT INTO files_in_force VALUES "
        f"('alerts.yaml', '{DAY:%F} 16:00:00', 'ab12'), ('brands.yaml', '{NEXT:%F} 00:00:00', 'cd')"
    )
    client.command(
        "INSERT INTO interactions (event_key, version, is_deleted, created_at, ingested_at) VALUES "
        f"(900001, 1, 1, '2025-01-01 00:00:00', '{DAY:%F} 20:00:00'), "
        f"(900001, 2, 1, '2025-01-01 00:00:00', '{DAY:%F} 20:00:01'), "
        f"(900002, 1, 1, '2025-01-01 00:00:00', '{DAY:%F} 21:00:00'), "
        f"(900003, 1, 1, '2025-01-01 00:00:00', '{NEXT:%F} 00:00:00')"
    )
    client.command(
        "INSERT INTO acts (at, id, actor, way, act, subject, comment, outcome) VALUES "
        f"('{DAY:%F} 22:00:00', 1, 'ann', 'console', 'take', 'Acme x 1', 'mine', 'done'), "
        f"('{DAY:%F} 22:00:00', 1, 'ann', 'console', 'take', 'Acme x 1', 'mine', 'done'), "  # it is written twice
        f"('{DAY:%F} 23:00:00', 2, 'ben', 'command line', 'pause source', 'blog', '', 'Kafka: no answer'), "
        f"('{DAY:%F} 14:00:00', 3, 'ann', 'api', 'acknowledge', '1', 'on it', 'done'), "
        f"('{DAY:%F} 23:10:00', 4, 'ann', 'api', 'acknowledge', '2', 'on it', 'alert 2 is resolved'), "
        f"('{DAY:%F} 11:00:00', 5, 'ben', 'api', 'split', 'ff', 'no', 'it is alone')"
    )
    assert ask(client, "audit").drop("at").rows() == [
        ("act", "2", "acknowledge, failed", "ann", "alert 2 is resolved"),
        ("act", "blog", "pause source, failed", "ben", "Kafka: no answer"),
        ("act", "Acme x 1", "take", "ann", "mine"),
        ("erasure", "interactions", "2 events deleted", "", "their sources deleted them"),
        ("file", "alerts.yaml", "in force: ab12", "", ""),
        ("silence", "Acme", f"until {NEXT + timedelta(days=1):%F} 00:00:00", "ben", "launch"),
        ("alert", "volume Acme", "acknowledged", "ann", "on it"),
        ("identity rules", "version 2", "applied", "eve", ""),
        ("link", "00000000000000ff", "split, refused", "ben", "it is alone"),
        ("link", "00000000000000ff 0000000000000010", "link", "ann", "same phone"),
    ]


def test_rows_that_somebody_deleted_are_in_the_audit(client: Client) -> None:
    """Not what a migration of pending_changes deleted: each new database had that in its audit."""
    (undone,) = (each for each in read_migrations() if each.name == "007_revisions")
    client.command(next(each for each in undone.statements if "DELETE" in each))
    client.command(Quarters().drop_minutes([Span(0, 1)], hidden=True))  # nobody's
    client.command("ALTER TABLE dead_letters DELETE WHERE raw = 'who asked to be forgotten' SETTINGS mutations_sync = 1")
    query = named_queries()["audit"]
    span: dict[str, str | list[str]] = {"from": f"{NEXT + timedelta(days=1):%F}", "to": "2099-01-01"}
    found = frame(client, f"SELECT * FROM {called(query, asked(query, **span))}", {}, {})
    assert found.filter(pl.col("what") == "erasure").drop("at").rows() == [
        ("erasure", "dead_letters", "rows deleted by SQL", "", "")
    ]
