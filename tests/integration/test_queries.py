"""The named queries against the engine: their views, and what the command prints of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, frame, text
from pipeline.clickhouse.query_views import renew_views
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.errors import MigrationError
from schemas.queries import named_queries, parse
from tests.support.commands import Run
from tests.support.queries import asked, called


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        yield client


def test_each_query_and_its_view_give_the_columns_that_its_file_names(client: Client) -> None:
    for query in named_queries().values():
        values = asked(query)
        for sql in (query.sql, f"SELECT * FROM {called(query, values)}"):
            assert frame(client, sql, values, READ).columns == list(query.columns), query.name


def test_views_follow_their_files(client: Client) -> None:
    one = parse("one", "-- One's.\n-- parameter x = 1: what\n-- column x: it\nSELECT {x:UInt8} AS x")
    queries = {**named_queries(), "one": one}
    assert renew_views(client, queries) == ["ClickHouse: views of queries renewed: q_one"]
    assert renew_views(client, queries) == []
    assert client.command("SELECT x FROM q_one(x = 7)") == 7
    sql = "SELECT comment FROM system.tables WHERE name = 'q_one' AND database = currentDatabase()"
    assert client.query(sql).result_rows[0][0].startswith("One's.\nx UInt8: what\ncolumn x: it\n")
    queries["one"] = parse("one", one.text.replace("{x:UInt8}", "{x:UInt8} + 1"))
    assert renew_views(client, queries) == ["ClickHouse: views of queries renewed: q_one"]
    assert client.command("SELECT x FROM q_one(x = 7)") == 8
    assert renew_views(client, named_queries()) == ["ClickHouse: views of queries renewed: q_one"]
    for made in ("TABLE q_one (x UInt8) ENGINE = MergeTree ORDER BY x", "VIEW q_one AS SELECT 1 COMMENT 'mine'"):
        client.command(f"CREATE {made}")
        assert renew_views(client, named_queries()) == []
        with pytest.raises(MigrationError, match="q_one is not Earshot's"):
            renew_views(client, queries)
        client.command(f"DROP {made.split()[0]} q_one")


def test_the_command_answers_in_each_form(stacked: Run, client: Client) -> None:
    for form in ("table", "json", "csv"):
        done = stacked("query", "latest", "--format", form)
        assert (done.code, "no rows" in done.out + done.err) == (0, True), done
    nothing = stacked("query", "brands", "--from", "2026-01-01", "--to", "2026-02-01", "--plot", "none.png").out
    assert nothing == "no rows from 2026-01-01 00:00 to 2026-02-01 00:00 UTC: none.png is not written\n"
    client.command(
        "INSERT INTO interactions (event_key, version, id, platform, created_at, brands, text) VALUES "
        "(1, 1, 'a', 'x', '2026-03-04 10:20:00', ['Lumen\\'s'], 'é'), (2, 1, 'b', 'x', '2026-03-04 10:50:00', ['Orbit'], '')"
    )
    done = stacked("query", "latest", "--brand", "Lumen's", "--limit", "5", "--format", "json")
    assert (done.err, [json.loads(line)["text"] for line in done.out.splitlines()]) == ("", ["é"])
    unknown = stacked("query", "latest", "--brand", "Lumens")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)
    assert "there is no brand 'Lumens'" in unknown.err and 'did you mean "Lumen\'s"?' in unknown.err
    drawn = stacked("query", "brands", "--from", "2026-01-01", "--plot", "brands.png")
    assert (drawn.out, Path("brands.png").read_bytes()[:4]) == ("brands.png  2 rows\n", b"\x89PNG")


def test_parquet_is_read_by_others(settings: Settings, client: Client) -> None:
    client.command(
        "INSERT INTO interactions (event_key, version, id, platform, created_at, brands) VALUES "
        "(1, 1, 'a', 'x', '2026-03-04 10:20:00', ['Lumen'])"
    )
    brands = named_queries()["brands"]
    content = b"".join(text(client, brands.sql, "parquet", asked(brands, **{"from": "2026-03-04"})))
    assert pl.read_parquet(content).get_column("mentions").to_list() == [1]
