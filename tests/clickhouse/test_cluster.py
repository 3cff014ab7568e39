"""The tables of a cluster, as statements: the engine parses them; they were never run on one."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app, main
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.cluster import Cluster
from pipeline.clickhouse.migrations import RECORDS, Migration, read_migrations
from pipeline.clickhouse.query_views import made_by
from pipeline.config.settings import Settings
from schemas.queries import named_queries

SHARDED = {"account_events", "alert_candidates", "alert_events", "interactions", "pending_changes"}


def script(database: str = "earshot", migrations: list[Migration] | None = None) -> list[str]:
    views = [made_by(query) for query in named_queries().values()]
    return list(Cluster("eu", database, "writer").script(migrations or read_migrations(), views))


def test_tables_with_the_events_key_are_sharded_by_it_and_the_others_whole_on_each_node() -> None:
    text = "\n".join(script())
    fronts = dict(
        re.findall(r"TABLE (\w+) ON CLUSTER `eu` AS \w+ ENGINE = Distributed\('eu', 'earshot', '(\w+)', event_key\)", text)
    )
    assert fronts == {table: f"{table}_local" for table in SHARDED}
    engines = dict(
        re.findall(
            r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) ON CLUSTER `eu`\n.*?^ENGINE = (\w+\('[^']+', '[^']+')",
            text,
            re.DOTALL | re.MULTILINE,
        )
    )
    made = re.findall(
        r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)",
        " ".join(each for one in read_migrations() for each in one.statements) + RECORDS,
    )
    assert engines.keys() == {f"{name}_local" if name in SHARDED else name for name in made}
    shards = {name for name, engine in engines.items() if "/tables/{shard}/" in engine and engine.endswith("'{replica}'")}
    assert shards == set(fronts.values())
    assert all("/tables/all/" in engines[name] and "{shard}-{replica}" in engines[name] for name in engines.keys() - shards)
    assert all(engine.startswith("Replicated") for engine in engines.values())


def test_a_token_is_remembered_where_it_was_and_nothing_is_dropped_elsewhere() -> None:
    text = "\n".join(script())
    assert "non_replicated" not in text
    tables = re.findall(r"^CREATE TABLE .*?;$", text, re.DOTALL | re.MULTILINE)
    windows = [re.findall(r"replicated_deduplication_window = (\d+)", table) for table in tables]
    assert len(tables) > 20 and {tuple(window) for window in windows} == {("0",), ("10000",)}


def test_a_view_that_fills_reads_and_writes_its_shard_and_others_read_all() -> None:
    text = "\n".join(script())
    filling = re.search(r"CREATE MATERIALIZED VIEW .* TO account_events_local AS\nSELECT .* FROM interactions_local ", text)
    assert filling and re.search(r"VIEW interactions_now ON CLUSTER `eu` AS\n.*\nFROM interactions;", text)
    assert "-- On one replica of each shard:\nINSERT INTO account_events_local SELECT " in text
    assert "INSERT INTO leaders SELECT 'control', 0, 0, count() = 0, now64(3) FROM alerts;" in text
    assert text.count("INSERT INTO schema_migrations VALUES (") == len(read_migrations())
    made = re.findall(r"^CREATE OR REPLACE VIEW (q_\w+) ON CLUSTER `eu` AS", text, re.MULTILINE)
    assert made == [query.view for query in named_queries().values()]


def test_a_front_has_the_columns_that_its_shards_have() -> None:
    """It is made again after each change of columns, and after none of indexes or settings."""
    change = ("ALTER TABLE interactions ADD COLUMN a UInt8", "ALTER TABLE interactions MATERIALIZE COLUMN a")
    made = script(migrations=[*read_migrations(), Migration(999, "999_more", 1, change, repeats=False)])
    last = made[made.index("-- 999_more") : made.index("-- Views of the named queries")]
    assert [line.split(" ON ")[0] for line in last[1:-1]] == [
        "ALTER TABLE interactions_local", "CREATE OR REPLACE TABLE interactions", "ALTER TABLE interactions_local"
    ]  # fmt: skip


def test_the_engine_parses_each_statement_whatever_the_names(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        for statement in "\n".join(script(database="it's `b")).split(";\n"):
            code = re.sub(r"(?m)^\s*--.*$", "", statement).strip().removesuffix(";")
            if code:
                assert client.query("SELECT formatQuery({s:String})", {"s": code}).result_rows


def test_the_command_prints_and_asks_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__DATABASE", "earshot")
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__PASSWORD", "s3cret")
    shown = CliRunner().invoke(app, ["migrate", "--cluster", "eu", "--print"])
    assert shown.exit_code == 0 and "CREATE DATABASE IF NOT EXISTS `earshot` ON CLUSTER `eu`" in shown.output
    assert "s3cret" not in shown.output and "PASSWORD '<its password>'" in shown.output
    for arguments in (["--print"], ["--cluster", "eu"]):
        monkeypatch.setattr("sys.argv", ["earshot", "migrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "--cluster NAME and --print go together" in capsys.readouterr().err
