"""Queries about conversations and influence over a generated stream, from spring to autumn: they equal what Polars computes
from the stream's truth, and from conversations that are told by loops; and influence finds the talent that nobody told it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.testing import assert_frame_equal
from xxhash import xxh3_64_intdigest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, asker, frame
from pipeline.config.settings import ClickHouseSettings
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.processors.mentions.business_hours import Calendar
from pipeline.rollups.rollup import Span, quarter_of
from pipeline.rollups.threads import Threads
from pipeline.sinks.calendars import LOADS, changes
from schemas.queries import named_queries
from schemas.times import TIME
from tests.support.landed import land
from tests.support.queries import asked, called
from tests.support.walked import walked

pytestmark = pytest.mark.slow

COUNT = 100_000
START, END = datetime(2025, 3, 25, tzinfo=UTC), datetime(2025, 11, 6, tzinfo=UTC)
SPAN = {"from": f"{START:%Y-%m-%d}T00:00Z", "to": f"{END:%Y-%m-%d}T00:00Z"}
SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}
BRANDS = sample_brands()
OPEN = BRANDS.brands[0].name
"""It has business hours."""
CALENDAR = Calendar.of({"mon-fri": ("09:00-18:00",), "sat": ("22:00-02:00",)}, "Europe/Berlin", 2026)
CONVERSATION = ["brand", "platform", "conversation_id"]
Given = dict[str, str | list[str]]


class Desk(NamedTuple):
    client: Client
    threads: pl.DataFrame
    """By loops."""
    answers: pl.DataFrame
    """By the truth of the stream: brand, platform, event_key, created_at, began, seconds."""

    def ask(self, name: str, **given: str | list[str]) -> pl.DataFrame:
        """By the view, without settings: what anybody gets."""
        query = named_queries()[name]
        given = {key.removesuffix("_"): value for key, value in given.items()}
        known = {parameter.name for parameter in query.parameters}
        span = {key: value for key, value in SPAN.items() if key in known}
        return frame(self.client, f"SELECT * FROM {called(query, asked(query, **(span | given)))}", {}, {})


@pytest.fixture(scope="module")
def desk(module_database: ClickHouseSettings) -> Iterator[Desk]:
    blocks = list(Stream(Plan(COUNT, BRANDS, start=START, days=(END - START).days)).blocks())
    truth = [orjson.loads(line) for line in chain.from_iterable(block.truth for block in blocks)]
    with clickhouse_client(module_database) as client:
        land(client, list(chain.from_iterable(block.values for block in blocks)), BRANDS)
        client.command(Threads().rebuild([Span(quarter_of(START), quarter_of(END))], 1), settings=SETTINGS)
        ask = asker(client)
        for table, rows in changes(lambda sql: ask(sql, {}), {OPEN: CALENDAR}, START).rows:
            client.insert_arrow(table, rows.to_arrow())
        for statement in LOADS:
            client.command(statement)
        told = [{"brand": brand, **row} for (brand, _), row in walked(client, SETTINGS).items()]
        yield Desk(client, pl.DataFrame(told, infer_schema_length=None), answered(client, truth))


def answered(client: Client, truth: list[dict[str, Any]]) -> pl.DataFrame:
    """Each answer, by the truth alone but for when the answer was written."""
    lines = [line for line in truth if line["kind"] == "thread" and line["response"]]
    told = pl.DataFrame(
        {
            "brand": [line["brand"] for line in lines],
            "platform": [line["response"].partition(":")[0] for line in lines],
            "event_key": pl.Series([xxh3_64_intdigest(line["response"].encode()) for line in lines], dtype=pl.UInt64),
            "seconds": pl.Series([line["seconds"] for line in lines], dtype=pl.Float64),
        }
    )
    written = frame(client, "SELECT event_key, created_at FROM interactions FINAL WHERE direction = 'outbound'", {}, {})
    began = pl.col("created_at") - pl.duration(milliseconds=(pl.col("seconds") * 1000).round().cast(pl.Int64))
    return told.join(written, on="event_key").with_columns(began=began.cast(TIME))


# --- how long people waited -------------------------------------------------------------------------------------------
def begins(zone: str, period: str) -> pl.Expr:
    """The beginning of the period in which somebody began to wait, UTC."""
    if period == "all":
        return pl.lit(START).cast(TIME).alias("begins")
    every = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}[period]
    return pl.col("began").dt.convert_time_zone(zone).dt.truncate(every).dt.convert_time_zone("UTC").cast(TIME).alias("begins")


def summed(waits: pl.DataFrame, zone: str, period: str, by: list[str], target: int) -> pl.DataFrame:
    blank = [pl.lit("").alias(name) for name in ("platform", "team") if name not in by]
    seconds, hour = pl.col("seconds"), 3600
    return (
        waits.with_columns(begins(zone, period), *blank)
        .group_by("begins", "brand", "platform", "team")
        .agg(
            ended=seconds.count(),
            open=seconds.null_count(),
            early=pl.lit(0),
            within_1h=(seconds <= hour).sum(),
            within_4h=((seconds > hour) & (seconds <= 4 * hour)).sum(),
            within_8h=((seconds > 4 * hour) & (seconds <= 8 * hour)).sum(),
            within_24h=((seconds > 8 * hour) & (seconds <= 24 * hour)).sum(),
            later=(seconds > 24 * hour).sum(),
            in_target=100 * (seconds <= 60 * target).sum() / pl.when(seconds.count() > 0).then(seconds.count()),
            median=seconds.quantile(0.5, "linear"),
            p90=seconds.quantile(0.9, "linear"),
            mean=seconds.mean(),
        )
    )


def same(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str]) -> None:
    assert expected.height > 10
    if "begins" in keys:
        found = found.with_columns(pl.col("begins").dt.convert_time_zone("UTC").cast(TIME))
    assert_frame_equal(
        found.sort(keys), expected.select(found.columns).sort(keys), check_dtypes=False, rel_tol=1e-9, abs_tol=1e-9
    )


PLACES = [("Europe/Berlin", "day", ["platform"]), ("America/St_Johns", "week", []), ("UTC", "all", ["platform", "team"])]
KEYS = ["begins", "brand", "platform", "team"]


@pytest.mark.parametrize(("zone", "period"), [("Europe/Berlin", "day"), ("America/St_Johns", "hour"), ("UTC", "all")])
def test_answers_take_as_long_as_the_truth_says(desk: Desk, zone: str, period: str) -> None:
    found = desk.ask("response_times", measure="next", zone=zone, period=period, by=["platform"], target="30")
    expected = summed(since_first_words(desk).with_columns(team=pl.lit("")), zone, period, ["platform"], 30)
    some = found.filter(pl.col("ended") > 0)
    same(some.drop("open"), expected.drop("open"), KEYS)
    assert found.get_column("ended").sum() == desk.answers.height > 3_000
    if period == "day":
        starts = found.get_column("begins").dt.convert_time_zone(zone).unique()
        days = {datetime(2025, 3, 30).date(), datetime(2025, 10, 26).date()}
        assert days <= set(starts.dt.date().to_list()), "days of 23 and of 25 hours"


def since_first_words(desk: Desk) -> pl.DataFrame:
    """Who had said a word in the conversation before the question has waited since then: that the truth does not tell."""
    words = desk.threads.explode("answers", "asked_at").select(event_key=pl.col("answers").cast(pl.UInt64), word="asked_at")
    both = desk.answers.join(words, on="event_key", how="left")
    earlier = both.filter(pl.col("word") != pl.col("began"))
    assert both.get_column("word").null_count() == 0
    assert earlier.height < both.height / 50 and (earlier.get_column("word") < earlier.get_column("began")).all()
    lasted = (pl.col("created_at") - pl.col("word")).dt.total_milliseconds() / 1000
    return both.with_columns(began=pl.col("word").cast(TIME), seconds=lasted)


@pytest.mark.parametrize(("zone", "period", "by"), PLACES)
@pytest.mark.parametrize("measure", ["first", "next", "resolution"])
def test_response_times(desk: Desk, measure: str, zone: str, period: str, by: list[str]) -> None:
    found = desk.ask("response_times", measure=measure, zone=zone, period=period, by=by, target="45")
    same(found, summed(waits(desk.threads, measure), zone, period, by, 45), KEYS)


@pytest.mark.parametrize("measure", ["first", "next", "resolution"])
def test_response_times_in_business_hours(desk: Desk, measure: str) -> None:
    found = desk.ask("response_times", measure=measure, clock="business", zone="Europe/Berlin", period="month")
    long = waits(desk.threads, measure)
    inside = long.filter(pl.col("brand") == OPEN).with_columns(seconds=opened(pl.col("ended")) - opened(pl.col("began")))
    rest = long.filter(pl.col("brand") != OPEN)
    same(found, summed(pl.concat([inside, rest]), "Europe/Berlin", "month", [], 60), KEYS)


def waits(threads: pl.DataFrame, measure: str) -> pl.DataFrame:
    """When each wait began, and how long it took; null: it has no end."""
    ends = {"first": pl.col("answered_at").list.get(0, null_on_oob=True), "resolution": pl.col("resolved_at")}
    names = ["brand", "platform", "team", "began", "ended"]
    if measure in ends:
        rows = threads.with_columns(began=pl.col("opened"), ended=ends[measure]).select(names)
    else:
        over = threads.filter(pl.col("asked_at").list.len() > 0).explode("asked_at", "answered_at")
        still = threads.filter(pl.col("waiting") > 0).with_columns(began=pl.col("waiting_since"), ended=pl.lit(None, TIME))
        rows = pl.concat(
            [
                over.with_columns(began=pl.col("asked_at"), ended=pl.col("answered_at")).select(names).cast({"ended": TIME}),
                still.select(names),
            ],
            how="vertical_relaxed",
        )
    lasted = (pl.col("ended") - pl.col("began")).dt.total_milliseconds() / 1000
    return rows.with_columns(seconds=lasted)


def opened(at: pl.Expr) -> pl.Expr:
    """Business seconds from 1995 to then."""
    spans = CALENDAR.spans()
    opens, closes = (spans.get_column(name).dt.epoch("ms").to_numpy() for name in ("opens", "closes"))
    before = spans.get_column("seconds").to_numpy()

    def count(times: pl.Series) -> pl.Series:
        ms = times.dt.epoch("ms").to_numpy()
        place = np.searchsorted(opens, ms, side="right") - 1
        return pl.Series(before[place] + np.minimum(ms - opens[place], closes[place] - opens[place]) / 1000)

    return pl.when(at.is_not_null()).then(at.fill_null(START).map_batches(count, pl.Float64))


# --- who waits now, and how much there is to do -----------------------------------------------------------------------
def test_unanswered(desk: Desk) -> None:
    begun = datetime.now(UTC)
    found = desk.ask("unanswered", from_=SPAN["from"], zone="Europe/Berlin", limit="1000000")
    ended = datetime.now(UTC)
    expected = desk.threads.filter(pl.col("waiting") > 0).with_columns(
        since=pl.col("waiting_since"), answers=pl.col("answers").list.len(), closed=pl.col("closed_at").is_not_null()
    )
    names = ["since", "brand", "platform", "kind", "team", "waiting", "answers", "private", "customer"]
    keys = ["since", "brand", "platform", "customer"]
    plain = found.with_columns(pl.col("since").dt.convert_time_zone("UTC").cast(TIME))
    assert_frame_equal(plain.select(names).sort(keys), expected.select(names).sort(keys), check_dtypes=False)
    assert found.height > 1_000 and plain.get_column("since").is_sorted()
    asked_at = plain.select(at=pl.col("since").dt.epoch("ms") + 1000 * pl.col("seconds")).get_column("at")
    assert asked_at.max() - asked_at.min() < 1, "the seconds of all are up to the same moment"  # type: ignore[operator]
    assert begun.timestamp() - 1 <= asked_at.mean() / 1000 <= ended.timestamp() + 1  # type: ignore[operator]
    others = found.filter(pl.col("brand") != OPEN)
    assert others.get_column("business_seconds").equals(others.get_column("seconds"))
    moment = pl.Series([asked_at.mean()]).round().cast(pl.Int64).cast(TIME)
    inside = plain.filter(pl.col("brand") == OPEN).with_columns(now=pl.lit(moment).first())
    seconds = inside.select(opened(pl.col("now")) - opened(pl.col("since"))).to_series()
    assert np.allclose(inside.get_column("business_seconds").to_numpy(), seconds.to_numpy(), atol=1.0)


def test_unanswered_says_who_has_a_conversation(desk: Desk) -> None:
    """Not who was done with it before the customer wrote again."""
    found = desk.ask("unanswered", from_=SPAN["from"], limit="1000000")
    assert found.get_column("owner").unique().to_list() == [""]
    first = found.unique("conversation_id", maintain_order=True).head(5).rows(named=True)
    said = [("taken", "ann"), ("done", "ben"), ("done", "old"), ("free", ""), ("taken", "newest")]
    for row, (state, owner) in zip(first, said, strict=True):
        late = timedelta(seconds=-1 if owner == "old" else 60)
        rows = [[*(row[name] for name in CONVERSATION), state, owner, START, row["since"] + late, 2]]
        rows += [[*(row[name] for name in CONVERSATION), "taken", "before", START, START, 1]]
        desk.client.insert("cases", rows, column_names=[*CONVERSATION, "state", "owner", "since", "changed_at", "version"])
    again = desk.ask("unanswered", from_=SPAN["from"], limit="1000000", zone="Europe/Berlin")
    assert again.height == found.height
    keys = pl.DataFrame(first).select(CONVERSATION)
    mine = keys.join(again, on=CONVERSATION, maintain_order="left").select("owner", "case_state", "case_since")
    assert mine.rows() == [
        ("ann", "taken", START), ("ben", "done", START), ("", "", None), ("", "", None), ("newest", "taken", START)
    ]  # fmt: skip
    assert again.filter(pl.col("owner") != "").height == 3


@pytest.mark.parametrize(("zone", "by"), [("Europe/Berlin", ["platform"]), ("America/St_Johns", ["team"]), ("UTC", [])])
def test_workload(desk: Desk, zone: str, by: list[str]) -> None:
    found = desk.ask("workload", zone=zone, by=by, rate="3")
    blank = [pl.lit("").alias(name) for name in ("platform", "team") if name not in by]
    what = pl.when(pl.col("kind") == "call").then(pl.lit("calls")).when("private").then(pl.lit("messages"))
    times = pl.concat_list(pl.col("opened"), pl.col("asked_at"), pl.col("waiting_since")).list.unique()
    asks = desk.threads.with_columns(at=times, what=what.otherwise(pl.lit("questions"))).explode("at").drop_nulls("at")
    answers = desk.threads.filter(pl.col("answered_at").list.len() > 0).explode("answered_at")
    names = ["at", "what", "platform", "team"]
    both = pl.concat(
        [asks.select(names), answers.with_columns(at=pl.col("answered_at"), what=pl.lit("answers")).select(names)],
        how="vertical_relaxed",
    ).with_columns(*blank)
    local = pl.col("at").dt.convert_time_zone(zone)
    counts = (
        both.with_columns(weekday=local.dt.weekday(), hour=local.dt.hour())
        .group_by("weekday", "hour", "platform", "team", "what")
        .agg(n=pl.len())
    )
    expected = hours(zone).join(both.select("platform", "team").unique(), how="cross")
    for name in ("questions", "calls", "messages", "answers"):
        of = counts.filter(pl.col("what") == name).drop("what").rename({"n": name})
        expected = expected.join(of, on=["weekday", "hour", "platform", "team"], how="left")
    expected = expected.with_columns(pl.col("questions", "calls", "messages", "answers").fill_null(0))
    asked_in = pl.sum_horizontal("questions", "calls", "messages") / pl.col("hours")
    expected = expected.with_columns(asked=asked_in).with_columns(people=(pl.col("asked") / 3).ceil())
    same(found, expected, ["platform", "team", "weekday", "hour"])
    assert (found.get_column("hours").max() or 0) > (found.get_column("hours").min() or 0)  # type: ignore[operator]


def hours(zone: str) -> pl.DataFrame:
    """How often each hour of the week came, by the wall clock: one that comes twice counts twice."""
    steps = (
        pl.datetime_range(START, END, "15m", closed="left", eager=True).dt.convert_time_zone(zone).dt.truncate("1h").unique()
    )
    return (
        pl.DataFrame({"at": steps}).group_by(weekday=pl.col("at").dt.weekday(), hour=pl.col("at").dt.hour()).agg(hours=pl.len())
    )


# --- influence --------------------------------------------------------------------------------------------------------
def spearman(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return pl.corr(a.rank(), b.rank())


def test_influence_ranks_the_next_post_better_than_followers_do(desk: Desk) -> None:
    """Influence of the posts before a day; the next post of each account, and its engagement at the end."""
    until = START + timedelta(days=113)
    found = desk.ask("influence", to=f"{until:%Y-%m-%d}T00:00Z", limit="1000000")
    likes = " + ".join(f"ifNull(metrics_{name}, 0)" for name in ("likes", "shares", "replies"))
    later = frame(
        desk.client,
        f"SELECT lower(leftPad(hex(account_key), 16, '0')) AS account, argMin({likes}, created_at) AS engagement "
        "FROM interactions FINAL WHERE notEmpty(brands) AND author_followers IS NOT NULL AND direction = 'inbound' "
        f"AND kind IN ('post', 'comment', 'reply') AND created_at >= toDateTime('{until:%Y-%m-%d}', 'UTC') GROUP BY account",
        {},
        {},
    )
    both = found.drop("engagement").join(later, on="account").filter(pl.col("followers") > 0)
    goes_with = [spearman(pl.col(name), pl.col("engagement")).alias(name) for name in ("influence", "followers")]
    random = np.random.default_rng(1)
    draws = [both[random.integers(0, both.height, both.height)].select(goes_with) for _ in range(400)]
    spread = pl.concat(draws).with_columns(better=pl.col("influence") - pl.col("followers"))
    low, high = (spread.select(pl.all().quantile(share)).row(0, named=True) for share in (0.025, 0.975))
    found_now = both.select(goes_with).row(0, named=True)
    said = {name: f"{found_now[name]:.3f} ({low[name]:.3f} to {high[name]:.3f})" for name in found_now}
    assert both.height > 500 and low["better"] > 0.05 and found_now["influence"] > 0.1, said
    assert abs(found_now["followers"]) < 0.15, said
    print(both.height, "accounts; Spearman with the next post's engagement:", said)
