"""orders_after and what awareness says of measures equal an independent count, and the truth of a generated stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain

import numpy as np
import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.testing import assert_frame_equal
from xxhash import xxh3_64_intdigest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.dictionary import reload_sql
from pipeline.clickhouse.query import READ, frame
from pipeline.config.settings import Settings
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.rollups.copied import MEASURES, ORDERS
from pipeline.rollups.rollup import Span, quarter_of
from pipeline.sinks.rates import LOAD
from schemas.identity import account_key
from schemas.queries import named_queries
from schemas.times import TIME
from tests.queries.events import END, SETTINGS, START, begins, events, land, link, newest
from tests.support.landed import land as land_records
from tests.support.queries import asked, called

RATES = {"EUR": [(date(1995, 1, 1), 1.0)], "USD": [(date(2025, 3, 1), 1.25), (date(2025, 10, 26), 1.6)]}
KEYS = ["brand", "platform", "campaign", "touch"]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def answer(client: Client, name: str, start: datetime, end: datetime, **given: str | list[str]) -> pl.DataFrame:
    """By name and by view."""
    query, span = named_queries()[name], {"from": f"{start:%Y-%m-%dT%H:%M}Z", "to": f"{end:%Y-%m-%dT%H:%M}Z"}
    values = asked(query, **(span | given))
    found = frame(client, query.sql, values, READ)
    assert_frame_equal(frame(client, f"SELECT * FROM {called(query, values)}", {}, {}), found)
    return found


def same(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str]) -> None:
    assert expected.height > 3
    expected = expected.select(found.columns).sort(keys)
    assert_frame_equal(found.sort(keys), expected, check_dtypes=False, rel_tol=1e-9, abs_tol=1e-6)


def with_orders(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, with campaigns, and with amounts of some orders: a fifth are returns, some lack a currency or a rate."""
    random, count = np.random.default_rng(5), rows.height
    currencies = np.array(["EUR", "EUR", "USD", "usd", "", "XXX"])[random.integers(0, 6, count)]
    is_order, numbers = pl.col("kind") == "order", pl.Series(random.integers(0, 400, count).astype(str))
    return rows.with_columns(
        campaign=pl.Series(np.array(["spring", "autumn", ""])[random.integers(0, 3, count)]),
        order_id=pl.when(is_order).then(numbers.replace("0", "")).otherwise(pl.lit("")),
        order_amount=pl.when(is_order).then(
            pl.Series(np.where(random.random(count) < 0.2, -1, 1) * random.integers(0, 20_000, count) / 100)
        ),
        order_currency=pl.when(is_order).then(pl.Series(currencies)).otherwise(pl.lit("")),
    ).with_columns(order_amount=pl.when(pl.col("event_key") % 17 > 0).then("order_amount"))


def fill(client: Client, version: int = 1) -> None:
    for table in (MEASURES, ORDERS):
        client.command(table.rebuild([Span(0, quarter_of(datetime(2100, 1, 1, tzinfo=UTC)))], version), settings=SETTINGS)


def bought(rows: pl.DataFrame, start: datetime, end: datetime, days: int) -> pl.DataFrame:
    """One row an order and brand, from the rows of `newest` with their customer."""
    rates = pl.DataFrame(
        [(code, day, rate) for code, known in RATES.items() for day, rate in known],
        {"code": pl.String, "day": pl.Date, "rate": pl.Float64},
        orient="row",
    ).sort("day")
    orders = (
        rows.filter(pl.col("kind") == "order", pl.col("created_at") >= start - timedelta(days=days))
        .with_columns(code=pl.col("order_currency").str.to_uppercase(), day=pl.col("created_at").dt.date())
        .sort("day")
        .join_asof(rates, on="day", by="code", check_sortedness=False)
        .with_columns(
            euros=pl.col("order_amount") / pl.col("rate"),
            is_order=pl.col("order_amount").is_null() | (pl.col("order_amount") >= 0),
            key=pl.when(pl.col("order_id") == "").then(pl.col("event_key")).otherwise(0),
        )
        .sort("created_at", "event_key")
    )
    first = [pl.col(name).filter("is_order").first() for name in ("customer", "brands", "created_at")]
    return (
        orders.group_by("platform", "order_id", "key")
        .agg(
            *first,
            value=pl.col("euros").sum(),
            taken_back=-pl.col("euros").filter(~pl.col("is_order")).sum(),
            lacks=pl.col("euros").is_null().any(),
        )
        .filter(pl.col("created_at").is_not_null(), pl.col("created_at") < end + timedelta(days=days))
        .select("customer", "value", "taken_back", "lacks", brand="brands", at="created_at", order=pl.int_range(pl.len()))
        .explode("brand")
        .drop_nulls("brand")
    )


def credited(rows: pl.DataFrame, start: datetime, end: datetime, days: int, by: list[str]) -> pl.DataFrame:
    """One row an order, brand and touch, with the interaction for which it counts: by a join of all with all."""
    touches = (
        rows.filter(
            pl.col("created_at").is_between(start, end, closed="left"),
            pl.col("direction") != "outbound",
            ~pl.col("author_kind").is_in(["bot", "staff"]),
            ~pl.col("kind").is_in(["order", "profile", "measure"]),
        )
        .explode("brands")
        .drop_nulls("brands")
        .select(
            "customer",
            "event_key",
            brand="brands",
            touched="created_at",
            **{name: pl.col(name) if name in by else pl.lit("") for name in ("platform", "campaign")},
        )
    )
    pairs = (
        bought(rows, start, end, days)
        .join(touches, on=["customer", "brand"])
        .with_columns(waited=(pl.col("at") - pl.col("touched")).dt.total_milliseconds() / 1000)
        .filter(pl.col("waited") != 0, pl.col("waited").abs() <= days * 86_400)
        .with_columns(after=pl.col("waited") > 0, distance=pl.col("waited").abs())
        .sort("distance", pl.col("event_key"))
    )
    of = ["order", "brand", "after"]
    near = pairs.group_by(of, maintain_order=True).first().with_columns(touch=pl.lit("last"))
    far = pairs.group_by(of, maintain_order=True).last().with_columns(touch=pl.lit("first"))
    return pl.concat([near, far])


def counted(credit: pl.DataFrame) -> pl.DataFrame:
    after = pl.col("after")
    return credit.group_by(KEYS).agg(
        orders=after.sum(),
        customers=pl.col("customer").filter(after).n_unique(),
        amount=pl.col("value").filter(after).sum(),
        returned=pl.col("taken_back").filter(after).sum(),
        unconverted=(after & pl.col("lacks")).sum(),
        delay=pl.col("waited").filter(after).median(),
        orders_before=(~after).sum(),
        amount_before=pl.col("value").filter(~after).sum(),
    )


def test_orders_after_equals_an_independent_count_after_edits_and_deletes(client: Client) -> None:
    rows = with_orders(events(40_000))
    client.insert_arrow("interactions", rows.to_arrow())
    known = [(code, day, rate) for code, of in RATES.items() for day, rate in of if code != "EUR"]
    client.insert("rates", [(*rate, "file", 1) for rate in known], ["currency", "day", "rate", "source", "version"])
    client.command(LOAD)
    fill(client)
    linked = link(client, newest(rows))
    start, end = datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 30, tzinfo=UTC)
    for days, by in ((7, ["platform", "campaign"]), (3, [])):
        expected = counted(credited(linked, start, end, days, by))
        found = answer(client, "orders_after", start, end, days=str(days), by=by)
        same(found, expected, KEYS)
    assert found["unconverted"].sum() > 0 and found["returned"].sum() > 0 and found["orders_before"].sum() > 0
    given = {"brand": ["Acme"], "platform": ["forum"]}
    part = linked.filter((pl.col("platform") == "forum") | (pl.col("kind") == "order"))
    expected = counted(credited(part, start, end, 7, ["campaign"])).filter(pl.col("brand") == "Acme")
    same(answer(client, "orders_after", start, end, by=["campaign"], **given), expected, KEYS)

    key = "event_key, 9, 1, platform, created_at FROM interactions FINAL WHERE kind = 'order'"
    client.command(f"INSERT INTO interactions (event_key, version, is_deleted, platform, created_at) SELECT {key}")
    fill(client, 2)
    assert answer(client, "orders_after", start, end).is_empty()


@pytest.mark.slow
def test_orders_after_has_what_the_truth_has(client: Client) -> None:
    plan = Plan(30_000, sample_brands())
    blocks = list(Stream(plan).blocks())
    land_records(client, list(chain.from_iterable(block.values for block in blocks)), sample_brands())
    truth = [orjson.loads(line) for line in chain.from_iterable(block.truth for block in blocks)]
    moves = [
        (account_key(*each.split(":", 1)), line["person"] + 1, 1)
        for line in truth
        if line["kind"] == "person"
        for each in line["accounts"]
    ]
    client.insert("assignments", moves, ["profile", "customer", "sequence"])
    client.command(reload_sql("customer_of"))
    client.command(LOAD)
    fill(client)
    start, end = plan.start, datetime.fromtimestamp(plan.end_ms / 1000 + 60, UTC)
    names = "event_key, platform, kind, direction, author_kind, created_at, brands, campaign"
    more = "order_id, order_amount, order_currency, customer_now AS customer"
    rows = frame(client, f"SELECT {names}, {more} FROM interactions_now", {}, READ)
    found = answer(client, "orders_after", start, end, days="3", by=["platform"])
    expected = counted(credited(rows, start, end, 3, ["platform"]))
    euros = ["amount", "amount_before", "unconverted"]  # dollars have no rate here
    same(found.drop(euros), expected.drop(euros), KEYS)

    gone = {line["event"] for line in truth if line["kind"] == "delete"}
    told = [line for line in truth if line["kind"] == "order_after" and line["after"] not in gone]
    there = set(rows["event_key"])
    orders = {xxh3_64_intdigest(line["event"].encode()) for line in told} & there
    at = dict(rows.filter(pl.col("kind") == "order").select("event_key", "created_at").iter_rows())
    after = credited(rows, start, end, 3, []).filter("after", pl.col("touch") == "first").select("customer", "at")
    credited_at = set(after["at"])
    assert len(orders) > 50 and all(at[each] in credited_at for each in orders)
    assert found.filter(pl.col("touch") == "first")["orders"].sum() >= len(orders)


@pytest.mark.parametrize(("zone", "period", "by"), [("Europe/Berlin", "day", []), ("America/St_Johns", "week", ["platform"])])
def test_awareness_has_what_was_measured(client: Client, zone: str, period: str, by: list[str]) -> None:
    """On days of 23 and 25 hours, too; an account's last number counts, and days without mentions are there."""
    rows, random = events(6_000), np.random.default_rng(3)
    names = np.array(["followers", "visits", "search_interest", "other"])
    rows = rows.with_columns(
        kind=pl.lit("measure"),
        target=pl.Series(np.array(["main", "second"])[random.integers(0, 2, rows.height)]),
        measure_name=pl.Series(names[random.integers(0, 4, rows.height)]),
        measure_value=pl.Series(random.integers(0, 10_000, rows.height) / 8),
        direction=pl.lit("outbound"),
    )
    land(client, rows)
    fill(client)
    blank = [pl.lit("").alias("platform")] if "platform" not in by else []
    measured = (
        newest(rows)
        .explode("brands")
        .drop_nulls("brands")
        .rename({"brands": "brand", "measure_name": "name", "measure_value": "value"})
        .filter(pl.col("name") != "other")
        .with_columns(begins(zone, period, START), account=pl.concat_str("platform", "target"))
        .with_columns(*blank)
        .sort("created_at", "event_key")
    )
    keys = ["begins", "brand", "platform"]
    last = measured.filter(pl.col("name") == "followers").group_by(*keys, "account", maintain_order=True).last()
    expected = (
        measured.select(keys)
        .unique()
        .join(last.group_by(keys).agg(followers=pl.col("value").sum()), on=keys, how="left")
        .join(measured.filter(pl.col("name") == "visits").group_by(keys).agg(visits=pl.col("value").sum()), on=keys, how="left")
        .join(
            measured.filter(pl.col("name") == "search_interest").group_by(keys).agg(search_interest=pl.col("value").mean()),
            on=keys,
            how="left",
        )
        .with_columns(mentions=pl.lit(0), authors=pl.lit(0), reach=pl.lit(0))
    )
    found = answer(client, "awareness", START, END, zone=zone, period=period, by=by)
    same(found.with_columns(pl.col("begins").dt.convert_time_zone("UTC").cast(TIME)), expected, keys)
    assert found["search_interest"].null_count() > 0
