"""What named queries are measured on: the filled tables, and that each query answers."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from clickhouse_connect.driver.client import Client

from benchmarks import queries
from benchmarks.query_tables import BRANDS, Size, brand, fill, roll_up
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, frame
from pipeline.config.settings import Settings
from schemas.queries import named_queries

ROWS = 20_000


def test_the_tables_have_brands_conversations_and_links_and_each_query_is_asked(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        size = Size(ROWS, timedelta(days=3))
        fill(client, size)
        roll_up(client, size)
        counts = _asked(
            client, "SELECT arrayJoin(brands) AS brand, count() AS n FROM interactions GROUP BY brand ORDER BY n DESC"
        )
        counted = _asked(client, "SELECT brand, sum(mentions + ours) AS n FROM quarters GROUP BY brand ORDER BY n DESC, brand")
        assert counted.sort("brand").rows() == counts.sort("brand").rows()
        assert counts.row(0)[0] == brand(1) and 0.1 < counts.row(0)[1] / ROWS < 0.16
        assert 0.9 * BRANDS <= counts.height <= BRANDS
        assert _asked(client, "SELECT count() FROM assignments").item() == 2 * ROWS // 100
        linked = "SELECT count() FROM interactions_now WHERE customer_now != account_key"
        assert ROWS / 10 < _asked(client, linked).item() < ROWS
        talks = _asked(client, "SELECT countIf(notEmpty(answers)) AS answered, sum(words + ours) AS words FROM threads")
        assert talks.get_column("answered").item() > 100 and talks.get_column("words").item() > ROWS / 2
        asked = queries.cases()
        for case in asked:
            case.run(client, "once")
    assert {case.name.split()[0] for case in asked} == {*named_queries(), "timeline"}
    assert all(case.worst(95) > 0 for case in asked)


def _asked(client: Client, sql: str) -> pl.DataFrame:
    return frame(client, sql, {}, READ)
