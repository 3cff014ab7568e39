"""volume, sentiment, ratings, share_of_voice and awareness equal an independent count, on days of 23 and 25 hours, too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.dataframe.group_by import GroupBy
from polars.testing import assert_frame_equal

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, frame
from pipeline.config.settings import ClickHouseSettings
from schemas.queries import named_queries
from schemas.times import TIME
from tests.queries.events import END, START, begins, counted, events, land
from tests.support.queries import asked, called

COUNT = 60_000
ALIVE = pl.col("inbound")


@cache
def expected_rows() -> pl.DataFrame:
    return counted(events(COUNT))


@pytest.fixture(scope="module")
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        land(client, events(COUNT))
        yield client


def answer(client: Client, name: str, **given: str | list[str]) -> pl.DataFrame:
    asked_for = {key.removesuffix("_"): value for key, value in given.items()}
    span = {"from": f"{START:%Y-%m-%d}T00:00Z", "to": f"{END:%Y-%m-%d}T00:00Z"}
    query = named_queries()[name]
    values = asked(query, **(span | asked_for))
    found = frame(client, query.sql, values, READ)
    assert_frame_equal(frame(client, f"SELECT * FROM {called(query, values)}", {}, {}), found)
    return found.with_columns(pl.col("begins").dt.convert_time_zone("UTC").cast(TIME))


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    keys = [name for name in ("begins", "brand", "platform", "language") if name in expected.columns]
    assert expected.height > 0
    assert_frame_equal(
        found.sort(keys), expected.select(found.columns).sort(keys), check_dtypes=False, rel_tol=1e-9, abs_tol=1e-9
    )


def grouped(rows: pl.DataFrame, zone: str, period: str, by: list[str]) -> GroupBy:
    blank = [pl.lit("").alias(name) for name in ("platform", "language") if name not in by]
    return rows.with_columns(begins(zone, period, START), *blank).group_by("begins", "brand", "platform", "language")


@pytest.mark.parametrize(
    ("zone", "period", "by"),
    [
        ("Europe/Berlin", "day", []),
        ("America/St_Johns", "day", ["platform"]),
        ("Australia/Lord_Howe", "day", ["language"]),  # its clocks change by half an hour
        ("Asia/Kathmandu", "day", []),
        ("Europe/Berlin", "hour", []),
        ("America/St_Johns", "week", ["platform"]),
        ("Europe/Berlin", "month", ["language", "platform"]),
        ("Asia/Kathmandu", "all", []),
    ],
)
def test_volume(client: Client, zone: str, period: str, by: list[str]) -> None:
    found = answer(client, "volume", zone=zone, period=period, by=by)
    names = ["metrics_likes", "metrics_shares", "metrics_replies"]
    reactions = pl.sum_horizontal(pl.col(name).clip(0) for name in names)
    expected = grouped(expected_rows(), zone, period, by).agg(
        mentions=ALIVE.sum(),
        private=(ALIVE & (pl.col("visibility") == "private")).sum(),
        bots=(ALIVE & (pl.col("author_kind") == "bot")).sum(),
        ours=(~ALIVE).sum(),
        engagement=reactions.filter(ALIVE).sum(),
        reach=pl.col("author_followers").clip(0).filter(ALIVE).sum(),
    )
    same(found, expected)
    if (zone, period) == ("Europe/Berlin", "day"):
        lengths = found.get_column("begins").unique().sort().diff().drop_nulls().unique().dt.total_hours().to_list()
        assert set(lengths) == {23, 24, 25}


def test_parts_are_chosen(client: Client) -> None:
    start, end = datetime(2025, 10, 25, 22, tzinfo=UTC), datetime(2025, 10, 26, 23, tzinfo=UTC)
    given: dict[str, str | list[str]] = {
        "brand": ["Bé's", 'Co "x"'],
        "platform": ["forum", "reviews"],
        "language": ["de"],
        "zone": "Europe/Berlin",
    }
    found = answer(client, "volume", from_="2025-10-26", to="2025-10-27", period="quarter-hour", **given)
    rows = expected_rows().filter(
        pl.col("brand").is_in(list(given["brand"])),
        pl.col("platform").is_in(list(given["platform"])),
        pl.col("language") == "de",
        pl.col("created_at").is_between(start, end, closed="left"),
    )
    assert found.get_column("mentions").sum() == rows.filter(ALIVE).height > 100
    assert found.get_column("begins").n_unique() > 50
    whole = answer(client, "volume", from_="2025-10-26", to="2025-10-27", period="all", **given)
    assert whole.get_column("begins").unique().to_list() == [datetime(2025, 10, 25, 22, tzinfo=UTC)]
    assert whole.get_column("mentions").sum() == rows.filter(ALIVE).height


@pytest.mark.parametrize(("zone", "period", "by"), [("Europe/Berlin", "day", ["platform"]), ("UTC", "all", [])])
def test_sentiment(client: Client, zone: str, period: str, by: list[str]) -> None:
    labelled = ALIVE & (pl.col("sentiment_label") != "")
    mood = pl.col("sentiment_positive").cast(pl.Float64) - pl.col("sentiment_negative").cast(pl.Float64)
    expected = grouped(expected_rows(), zone, period, by).agg(
        mentions=ALIVE.sum(),
        labelled=labelled.sum(),
        **{each: (ALIVE & (pl.col("sentiment_label") == each)).sum() for each in ("negative", "neutral", "positive")},
        score=pl.when(labelled.sum() > 0).then(mood.filter(labelled).sum() / labelled.sum()),
    )
    same(answer(client, "sentiment", zone=zone, period=period, by=by), expected)


def test_ratings(client: Client) -> None:
    stars = pl.col("rating").filter(ALIVE)
    expected = grouped(expected_rows(), "Europe/Berlin", "week", ["platform"]).agg(ratings=stars.count(), mean=stars.mean())
    found = answer(client, "ratings", zone="Europe/Berlin", period="week", by=["platform"])
    same(found, expected.filter(pl.col("ratings") > 0))


def test_awareness(client: Client) -> None:
    rows = expected_rows().filter(ALIVE).with_columns(begins("Europe/Berlin", "week", START))
    expected = rows.group_by("begins", "brand", "platform").agg(
        mentions=pl.len(), authors=pl.col("author_id").n_unique(), reach=pl.col("author_followers").clip(0).sum()
    )
    # What was measured: tests/queries/test_orders.py.
    nothing = {name: pl.lit(None, pl.Float64) for name in ("followers", "visits", "search_interest")}
    found = answer(client, "awareness", zone="Europe/Berlin", period="week", by=["platform"])
    same(found, expected.with_columns(**nothing))


@pytest.mark.parametrize("period", ["day", "all"])
def test_share_of_voice(client: Client, period: str) -> None:
    panel = ["Acme", "Dune", "Echo"]
    found = answer(client, "share_of_voice", brand="Dune", panel=["Echo", "Acme"], zone="Europe/Berlin", period=period)
    rows = expected_rows().filter(ALIVE, pl.col("brand").is_in(panel)).with_columns(begins("Europe/Berlin", period, START))
    counts = rows.group_by("begins", "brand").agg(mentions=pl.len())
    all_ = counts.select("begins").unique().join(pl.DataFrame({"brand": panel}), how="cross")
    expected = all_.join(counts, on=["begins", "brand"], how="left").with_columns(
        pl.col("mentions").fill_null(0), panel=pl.lit("Acme, Dune, Echo"), version=0, since=pl.lit(None, TIME)
    )
    same(found, expected.with_columns(percent=100 * pl.col("mentions") / pl.col("mentions").sum().over("begins")))
    assert found.filter(pl.col("brand") == "Echo").get_column("percent").unique().to_list() == [0.0]
    assert found.select("version", "since").unique().rows() == [(0, None)]


@pytest.mark.parametrize("period", ["day", "all"])
def test_each_version_of_a_panel_is_a_series(client: Client, period: str) -> None:
    """The file changed in the middle of a quarter-hour, which the panel before keeps."""
    changed = datetime(2025, 10, 26, 9, 7, tzinfo=UTC)
    client.insert_arrow(
        "panels",
        pl.DataFrame(
            [("Acme", 1, datetime(2025, 10, 20, tzinfo=UTC), ["Dune"]), ("Acme", 2, changed, ["Bé's", "Dune"])],
            {"brand": pl.String, "version": pl.UInt32, "since": TIME, "competitors": pl.List(pl.String)},
            orient="row",
        ).to_arrow(),
    )
    found = answer(client, "share_of_voice", brand="Acme", zone="Europe/Berlin", period=period)
    second = pl.col("created_at") >= datetime(2025, 10, 26, 9, 15, tzinfo=UTC)
    rows = (
        expected_rows()
        .filter(ALIVE)
        .with_columns(begins("Europe/Berlin", period, START), version=pl.when(second).then(2).otherwise(1))
    )
    in_panel = pl.col("brand").is_in(["Acme", "Dune"]) | ((pl.col("version") == 2) & (pl.col("brand") == "Bé's"))
    counts = rows.filter(in_panel).group_by("begins", "version", "brand").agg(mentions=pl.len())
    expected = counts.with_columns(percent=100 * pl.col("mentions") / pl.col("mentions").sum().over("begins", "version"))
    keys = ["begins", "version", "brand"]
    expected = expected.select(*keys, "mentions", "percent").sort(keys)
    some = found.filter(pl.col("mentions") > 0)  # the others of the panel have a row, too
    assert_frame_equal(some.select(expected.columns).sort(keys), expected, check_dtypes=False, rel_tol=1e-9)
    assert (
        found.select("begins", "version", "percent")
        .group_by("begins", "version")
        .sum()
        .get_column("percent")
        .round(9)
        .eq(100)
        .all()
    )
    assert found.select("version", "panel", "since").unique().sort("version").rows() == [
        (1, "Acme, Dune", datetime(2025, 10, 20, tzinfo=UTC)),
        (2, "Acme, Bé's, Dune", changed),
    ]
