"""An insert touches a limited number of months."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline.clickhouse.inserter import MONTHS_AN_INSERT
from pipeline.sinks.landing import by_months


def rows(*months: int) -> pl.DataFrame:
    """A row in each of these months, counted from January 2000."""
    at = [datetime(2000 + month // 12, 1 + month % 12, 1, tzinfo=UTC) for month in months]
    return pl.DataFrame({"created_at": at, "n": months}, {"created_at": pl.Datetime("ms", "UTC"), "n": pl.Int64})


@pytest.mark.parametrize(
    ("months", "sizes"),
    [
        ([], [0]),
        ([7], [1]),
        ([*range(MONTHS_AN_INSERT)], [MONTHS_AN_INSERT]),
        ([0, 5, 300], [3]),
        ([*range(MONTHS_AN_INSERT + 1)], [MONTHS_AN_INSERT, 1]),
        ([*range(2 * MONTHS_AN_INSERT), 0, 1], [MONTHS_AN_INSERT + 2, MONTHS_AN_INSERT]),
    ],
    ids=["none", "one", "as many as go", "few of many years", "one more", "twice as many"],
)
def test_rows_go_in_as_few_parts_as_the_months_allow(months: list[int], sizes: list[int]) -> None:
    parts = by_months(rows(*months))
    assert [part.height for part in parts] == sizes
    assert sorted(pl.concat(parts).get_column("n").to_list()) == sorted(months)
