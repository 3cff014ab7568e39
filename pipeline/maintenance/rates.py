"""Exchange rates of a file, for the amounts of orders: into table rates, from where dictionary rate_on has them at once."""

from __future__ import annotations

import csv
import math
from datetime import date
from pathlib import Path
from typing import TextIO

import polars as pl

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import one_line
from pipeline.config.settings import Settings
from pipeline.errors import SettingsError
from pipeline.sinks.rates import EURO, LOAD, rows
from schemas.times import to_ms, utc_now

COLUMNS = ("date", "currency", "rate")
EARLIEST, LATEST = date(1995, 1, 1), date(2149, 6, 5)
"""No order is older; what the column of the day holds."""
SHOWN = 10


def load_rates(settings: Settings, path: Path) -> pl.DataFrame:
    """Writes the rates of the file, which count before others of their day, and returns them. A second time changes nothing.

    Raises SettingsError for a file that can't be read or has a bad line (nothing is written then), UnreachableError without
    ClickHouse, EarshotError with the server's reason.
    """
    rates = read_rates(path)
    client = clickhouse_client(settings.clickhouse)
    try:
        check_tables(client)
        with one_line(client):
            written = rows(rates.filter(pl.col("currency") != EURO), path.name, to_ms(utc_now()))
            client.insert_arrow("rates", written.to_arrow())
            client.command(LOAD)
    finally:
        client.close()
    return rates


def read_rates(path: Path) -> pl.DataFrame:
    """The rates of a CSV file with the columns date, currency, rate (units of the currency for one euro): currency, day, rate.
    Raises SettingsError, which names bad lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parse(path, file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no CSV in UTF-8 ({error})"
        raise SettingsError(f"{path}: {why}") from None


def _parse(path: Path, file: TextIO) -> pl.DataFrame:
    lines = csv.reader(file)
    names = [name.strip().lower() for name in next(lines, [])]
    if lacking := [name for name in COLUMNS if names.count(name) != 1]:
        other = next((mark for mark in (";", "\t") if mark in "".join(names)), "")
        why = f"its cells are apart by {other!r}, not by commas" if other else f"see {', '.join(lacking)}"
        raise SettingsError(f"{path}:1: the header should name {', '.join(COLUMNS)}, once each; {why}")
    places = [names.index(name) for name in COLUMNS]
    found: dict[tuple[str, date], tuple[float, int]] = {}
    bad = list[str]()
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            key, rate = _rate([cells[place].strip() for place in places] if len(cells) == len(names) else [])
            if (known := found.setdefault(key, (rate, lines.line_num)))[0] != rate:
                raise ValueError(f"line {known[1]} has another rate of that day")
        except ValueError as error:
            bad.append(f"line {lines.line_num}: {error}")
    if bad:
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise SettingsError(f"{path}: nothing is loaded: {'; '.join(bad[:SHOWN])}{more}")
    if not found:
        raise SettingsError(f"{path}: it has no rates")
    rates = [(currency, day, rate) for (currency, day), (rate, _) in found.items()]
    return pl.DataFrame(rates, {"currency": pl.String, "day": pl.Date, "rate": pl.Float64}, orient="row")


def _rate(cells: list[str]) -> tuple[tuple[str, date], float]:
    """((currency, day), rate) of a line. Raises ValueError."""
    if not cells:
        raise ValueError("it has not as many cells as the header")
    day, currency, rate = cells
    try:
        at = date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"date {day!r} should look like 2026-11-01") from None
    if not EARLIEST <= at <= LATEST:
        raise ValueError(f"date {day} is not between {EARLIEST} and {LATEST}")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise ValueError(f"currency {currency!r} has not three letters")
    try:
        number = float(rate)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"rate {rate!r} is no number above 0")
    if currency.upper() == EURO and number != 1:
        raise ValueError("rates are for one euro, so that of EUR is 1")
    return (currency.upper(), at), number
