"""Where the base table is searched, and how far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.sinks import search
from pipeline.sinks.interactions import InteractionsTable

MONTHS = [(1996, 3), (2026, 2), (2026, 7), (2026, 8), (2026, 9)]


class Noted(Inserter):
    """Notes the searches: the days between which each looks."""

    def query(self, sql: str, more: Mapping[str, object] | None = None) -> pl.DataFrame:
        if "event_key IN" in sql:
            self.searches.append(tuple(re.findall(r"created_at (>= '.{10}|< '.{10})", sql)))
        return super().query(sql, more)

    searches: list[tuple[str, ...]]


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def inserter(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Noted]:
    """A table with two events a month, each with two versions."""
    monkeypatch.setattr(search, "RANGE_ROWS", 4)
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command("SYSTEM STOP MERGES interactions")
        rows = [
            (2 * place + twin, 1_000 * version + 2 * place + twin, version, datetime(*month, 3, tzinfo=UTC))
            for place, month in enumerate(MONTHS)
            for twin in (0, 1)
            for version in (1, 2)
        ]
        client.insert("interactions", rows, column_names=["event_key", "revision", "version", "created_at"])
        inserter = Noted(client, Fence(), Vitals(), "completion")
        inserter.searches = []
        yield inserter


def keys(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"event_key": numbers, "created_at": None}, {"event_key": pl.UInt64, "created_at": pl.Datetime("ms", "UTC")}
    )


def test_young_events_cost_a_search_of_the_newest_months_only(inserter: Noted) -> None:
    newest = InteractionsTable(inserter).newest(keys(8, 9))
    assert newest.select("event_key", "version").sort("event_key").rows() == [(8, 2), (9, 2)]
    assert inserter.searches == [(">= '2026-09-01",)]


def test_old_and_unknown_events_are_searched_range_by_range(inserter: Noted) -> None:
    newest = InteractionsTable(inserter).newest(keys(0, 5, 9, 77))
    assert newest.select("event_key", "version").sort("event_key").rows() == [(0, 2), (5, 2), (9, 2)]
    bounds = [f"'{year}-{month:02d}-01" for year, month in reversed(MONTHS)]
    between = [(f">= {low}", f"< {above}") for above, low in pairwise(bounds)]
    assert inserter.searches == [(f">= {bounds[0]}",), *between, (f"< {bounds[-1]}",)]


def test_a_large_month_is_searched_in_pieces(inserter: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "RANGE_ROWS", 2)
    assert InteractionsTable(inserter).newest(keys(8)).height == 1
    assert inserter.searches == [(">= '2026-09-16",), (">= '2026-09-01", "< '2026-09-16")]


def test_a_small_table_is_one_range(inserter: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "RANGE_ROWS", 1_000)
    assert InteractionsTable(inserter).newest(keys(0, 77)).get_column("version").to_list() == [2]
    assert inserter.searches == [()]


def test_nothing_is_searched_for_nothing(inserter: Noted) -> None:
    assert InteractionsTable(inserter).newest(keys()).is_empty()
    assert inserter.searches == []


def test_what_landed_is_found_in_any_month(inserter: Noted) -> None:
    changes = keys(1, 8).with_columns(revision=pl.Series([1_001, 2_008], dtype=pl.UInt64), said_at=None, kafka_ms=None)
    landed = InteractionsTable(inserter).as_landed(changes.with_columns(said_at=pl.col("created_at"), kafka_ms=pl.lit(1)))
    assert sorted(landed.select("event_key", "revision").rows()) == [(1, 1_001), (8, 2_008)]
