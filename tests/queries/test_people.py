"""engagement, repeat_visitors, advocates, detractors and influence equal an independent count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.testing import assert_frame_equal

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import frame
from pipeline.config.settings import ClickHouseSettings
from pipeline.processors.mentions.brands import BrandNames
from pipeline.rollups.accounts import Accounts
from pipeline.rollups.roles import Roles
from pipeline.rollups.rollup import Span, quarter_of
from schemas.queries import named_queries
from schemas.times import TIME
from tests.queries.events import END, SETTINGS, START, begins, events, land, link, newest
from tests.support.queries import asked, called

LEVELS = {
    "consumption": ["visit", "follow"],
    "curation": ["like", "repost"],
    "creation": ["post", "comment", "idea", "review"],
    "collaboration": ["reply", "answer"],
}
ROLES = {"machine": ("bot", "author", "bot"), "order": ("customer", "kind", "order"), "idea": ("prospect", "kind", "idea")}
"""Rule -> its role, what it asks for, and the value."""
HEX = pl.col("customer").map_elements(lambda key: f"{key:016x}", pl.String)


class Desk(NamedTuple):
    client: Client
    rows: pl.DataFrame
    """The newest, with their customer of today; without the brands' own."""
    all: pl.DataFrame
    """The brands' own among them."""

    def ask(self, name: str, **given: str | list[str]) -> pl.DataFrame:
        """By the view, without settings: what anybody gets."""
        query, span = named_queries()[name], {"from": f"{START:%Y-%m-%d}T00:00Z", "to": f"{END:%Y-%m-%d}T00:00Z"}
        return frame(self.client, f"SELECT * FROM {called(query, asked(query, **(span | given)))}", {}, {})


@pytest.fixture(scope="module")
def desk(module_database: ClickHouseSettings) -> Iterator[Desk]:
    rows = events(60_000)
    with clickhouse_client(module_database) as client:
        land(client, rows)
        rules = [{"name": name, "role": role, key: [value]} for name, (role, key, value) in ROLES.items()]
        accounts = Accounts(Roles.model_validate({"roles": rules}), BrandNames([], {}, {}))
        client.command(accounts.rebuild([Span(quarter_of(START), quarter_of(END))], 1), settings=SETTINGS)
        linked = link(client, newest(rows)).with_columns(hex=HEX)
        yield Desk(client, linked.filter(pl.col("direction") != "outbound"), linked)


def same(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str]) -> None:
    assert expected.height > 3
    expected = expected.select(found.columns).sort(keys)
    assert_frame_equal(found.sort(keys), expected, check_dtypes=False, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(("zone", "period", "by"), [("Europe/Berlin", "day", []), ("UTC", "all", ["platform", "customer"])])
def test_engagement(desk: Desk, zone: str, period: str, by: list[str]) -> None:
    level_of = {kind: level for level, kinds in LEVELS.items() for kind in kinds}
    rows = desk.rows.filter(pl.col("brands").list.contains("Acme"), pl.col("kind").is_in(list(level_of)))
    level = pl.when(pl.col("rating").is_not_null() & ~pl.col("kind").is_in(LEVELS["consumption"])).then(pl.lit("curation"))
    blank = [pl.lit("").alias(name) for name in ("platform",) if name not in by]
    rows = rows.with_columns(
        begins(zone, period, START),
        *blank,
        level=level.otherwise(pl.col("kind").replace_strict(level_of)),
        key=pl.col("customer"),
        customer=pl.col("hex") if "customer" in by else pl.lit(""),
    )
    keys = ["begins", "level", "platform", "customer"]
    expected = rows.group_by(keys).agg(actions=pl.len(), customers=pl.col("key").n_unique())
    found = desk.ask("engagement", brand=["Acme"], zone=zone, period=period, by=by)
    same(found.with_columns(pl.col("begins").dt.convert_time_zone("UTC").cast(TIME)), expected, keys)


def _people(desk: Desk) -> pl.DataFrame:
    """Of persons, once for each of two brands."""
    rows = desk.rows.filter(pl.col("author_kind") == "person").explode("brands").rename({"brands": "brand"})
    return rows.filter(pl.col("brand").is_in(["Acme", "Bé's"])).with_columns(customer=pl.col("hex"))


def test_repeat_visitors(desk: Desk) -> None:
    days = pl.col("created_at").dt.convert_time_zone("America/St_Johns").dt.date()
    expected = (
        _people(desk)
        .group_by("brand", "customer")
        .agg(
            days=days.n_unique(),
            actions=pl.len(),
            platforms=pl.col("platform").unique().sort(),
            first=pl.col("created_at").min(),
            last=pl.col("created_at").max(),
        )
        .filter(pl.col("days") >= 3)
    )
    given: dict[str, str | list[str]] = {"brand": ["Acme", "Bé's"], "zone": "America/St_Johns", "least": "3"}
    found = desk.ask("repeat_visitors", limit="100000", **given)
    same(found, expected, ["brand", "customer"])
    few = desk.ask("repeat_visitors", limit="5", **given)
    assert few.equals(found.filter(pl.int_range(pl.len()).over("brand") < 5)), "of each brand"
    order = found.select("days", "actions").rows()
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("advocates", "positive", "negative"), ("detractors", "negative", "positive")]
)
def test_advocates_and_detractors(desk: Desk, name: str, good: str, bad: str) -> None:
    rows = _people(desk).filter(pl.col("sentiment_label") != "")
    mood = pl.col("sentiment_positive").cast(pl.Float64) - pl.col("sentiment_negative").cast(pl.Float64)
    expected = (
        rows.group_by("brand", "customer")
        .agg(
            **{label: (pl.col("sentiment_label") == label).sum() for label in ("positive", "neutral", "negative")},
            score=mood.mean(),
            followers=pl.col("author_followers").clip(0).max(),
            platforms=pl.col("platform").unique().sort(),
            last=pl.col("created_at").max(),
        )
        .filter(pl.col(good) >= 2, pl.col(good) > pl.col(bad))
    )
    found = desk.ask(name, brand=["Acme", "Bé's"], limit="100000")
    same(found, expected, ["brand", "customer"])
    gap = (found.get_column(good).cast(pl.Int64) - found.get_column(bad).cast(pl.Int64)).to_list()
    assert gap == sorted(gap, reverse=True)


def test_influence(desk: Desk) -> None:
    names = ["metrics_likes", "metrics_shares", "metrics_replies"]
    posts = desk.rows.filter(
        pl.col("brands").list.contains("Acme"),
        pl.col("author_kind") != "staff",
        pl.col("kind").is_in(["post", "idea", "review", "comment", "reply", "answer"]),
    ).with_columns(reactions=pl.sum_horizontal(pl.col(name).clip(0) for name in names))
    # The element at half of the length, as the engine takes it.
    median = pl.col("reactions").sort().get(pl.len() // 2).over("platform")
    answering = ["repost", "comment", "reply", "answer"]
    answers = desk.rows.filter(pl.col("kind").is_in(answering)).select("platform", id="in_reply_to", other="profile")
    others = posts.join(answers, on=["platform", "id"]).filter(pl.col("other") != pl.col("profile"))
    counts = others.group_by("profile").agg(others=pl.col("other").n_unique())
    expected = (
        posts.with_columns(share=(pl.col("reactions") + 1) / (median + 1))
        .group_by("profile")
        .agg(
            platform=pl.col("platform").first(),
            posts=pl.len(),
            engagement=pl.col("reactions").mean(),
            followers=pl.col("author_followers").get(pl.col("created_at").arg_max()),
            relative=(pl.col("share").sum() + 5) / (pl.len() + 5),
        )
        .join(counts, on="profile", how="left")
        .join(_roles(desk), on="profile", how="left")
        .with_columns(pl.col("others").fill_null(0), handle=pl.lit(""), role=pl.col("role").fill_null(""))
        .with_columns(
            account=pl.col("profile").map_elements(lambda key: f"{key:016x}", pl.String),
            influence=pl.col("relative") * (1 + (1 + pl.col("others")).log()),
        )
    )
    found = desk.ask("influence", brand=["Acme"], limit="100000")
    same(found, expected, ["account"])
    assert found.filter(pl.col("others") > 3).height > 0
    assert set(found["role"]) == {"", "bot", "customer", "prospect"}
    split = desk.ask("influence", brand=["Acme"], limit="100000", role=["bot", "prospect"])
    assert split.equals(found.filter(pl.col("role").is_in(["bot", "prospect"]))), "measured beside all"


def _roles(desk: Desk) -> pl.DataFrame:
    """Of all rows about Acme: the first rule that any meets."""
    columns = {"author": "author_kind", "kind": "kind"}
    meets = [pl.when(pl.col(columns[key]) == value).then(n) for n, (_, key, value) in enumerate(ROLES.values())]
    rows = desk.all.filter(pl.col("brands").list.contains("Acme"))
    ranks = rows.group_by("profile").agg(rank=pl.coalesce(*meets, pl.lit(len(ROLES))).min())
    names = dict(enumerate((*(role for role, _, _ in ROLES.values()), "")))
    return ranks.select("profile", role=pl.col("rank").replace_strict(names))
