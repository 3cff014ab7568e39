"""Table account_quarters and view accounts equal an independent computation, after edits, deletes, and by other rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.testing import assert_frame_equal

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import frame
from pipeline.config.settings import Settings
from pipeline.config.zone import NO_ZONES
from pipeline.control.rollups import SETTINGS as OF_JOB
from pipeline.processors.mentions.brands import BrandNames, OwnAccount, names_of, parse_brands
from pipeline.rollups.accounts import COUNTS, NO_RULE, PART, Accounts
from pipeline.rollups.roles import parse_roles
from pipeline.rollups.rollup import Span, quarter_of
from schemas.identity import account_key
from schemas.times import TIME
from tests.queries.events import END, SETTINGS, START, counted, events

SPANS = [Span(quarter_of(START), quarter_of(END))]
BRANDS = b"""
brands:
  - {name: Acme, handles: ["@Acme"], competitors: [Dune], support: [{platform: forum, id: "3"}]}
  - {name: Dune, handles: ["@dune7"], support: [{platform: twitter, id: "9"}]}
"""
ROLES = """
roles:
  - {name: machine, role: bot, author: [bot]}
  - {name: own, role: employee, account_of: brand}
  - {name: rival, role: competitor, account_of: competitor}
  - {name: ours, role: employee, ours: true}
  - {name: press, role: media, bio: [Reporter], verified: true, followers: 50000}
  - {name: shop, role: partner, domains: [shop.example]}
  - {name: known, role: partner, accounts: [{platform: reviews, handle: "@H5"}]}
  - {name: order, role: customer, kind: [order]}
  - {name: says, role: prospect, words: {de: [wortea], any: [örterja]}}
motives:
  - {name: tips, motive: news, words: {en: [wortoa]}}
  - {name: wish, motive: idea, kind: [idea]}
  - {name: unhappy, motive: complaint, label: [negative]}
  - {name: asks, motive: question, asks: true, label: [neutral]}
  - {name: happy, motive: praise, label: [positive]}
"""
RULES = (
    ("bot", "machine"), ("employee", "own"), ("competitor", "rival"), ("employee", "ours"), ("media", "press"),
    ("partner", "shop"), ("partner", "known"), ("customer", "order"), ("prospect", "says"),
)  # fmt: skip
MOTIVES = (("news", "tips"), ("idea", "wish"), ("complaint", "unhappy"), ("question", "asks"), ("praise", "happy"))
NEVER = pl.lit(0).cast(TIME)
KEY = ["brand", "quarter", "account_key"]


def rollup(roles: str = ROLES) -> Accounts:
    return Accounts(parse_roles(roles.encode(), Path("roles.yaml")), names_of(parse_brands(BRANDS, Path("brands.yaml"))))


def people(count: int) -> pl.DataFrame:
    """Events of authors with profiles, which change."""
    random, rows = np.random.default_rng(3), events(count)
    number = rows.get_column("author_id").cast(pl.Int64).to_numpy()
    bios = np.array(["a REPORTER, in town", "reporters", ""])[random.integers(0, 3, len(rows))]
    urls = np.array(["https://Shop.example/x", "https://www.shop.example", "https://eshop.example", ""])
    return rows.with_columns(
        author_id=pl.when(pl.col("author_id") == "77").then(pl.lit("")).otherwise("author_id"),
        author_handle=pl.Series([f"@H{each}" if each != 8 else "dune7" for each in number]),
        author_name=pl.Series([f"Ä {each}" for each in random.integers(0, 9, len(rows))]),
        author_bio=pl.Series(bios),
        author_url=pl.Series(urls[np.where(number % 40 == 1, random.integers(0, 4, len(rows)), 3)]),
        author_verified=pl.Series([(None, True, False)[each] for each in random.integers(0, 3, len(rows))], dtype=pl.Boolean),
        author_at=pl.col("created_at") + pl.duration(seconds=pl.lit(pl.Series(random.integers(0, 3, len(rows))))),
        text=pl.col("text") + pl.Series(np.array(["", " really?", " a?b=1"])[random.integers(0, 3, len(rows))]),
        brands_given=pl.when(pl.col("event_key") % 2 == 0)
        .then(pl.lit(["Acme"]))
        .otherwise(pl.lit([], dtype=pl.List(pl.String))),
    )


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, once for each brand, with the number of their first rule and motive by Polars."""
    brand, handle = pl.col("brand"), pl.col("author_handle").str.to_lowercase().str.strip_prefix("@")
    language = pl.when(pl.col("sentiment_language") != "").then("sentiment_language").otherwise("language")
    acme = (handle == "acme") | ((pl.col("platform") == "forum") & (pl.col("author_id") == "3"))
    dune = (handle == "dune7") | ((pl.col("platform") == "twitter") & (pl.col("author_id") == "9"))
    spoken_for = pl.when(pl.col("brands_given").list.len() > 0).then("brands_given").otherwise("all_brands")
    text, host = " " + pl.col("text").str.to_lowercase() + " ", pl.col("author_url").str.to_lowercase()
    says = ((language.is_in(["de", ""])) & text.str.contains(" wortea ")) | text.str.contains(" örterja ")
    roles = [
        pl.col("author_kind") == "bot",
        ((brand == "Acme") & acme) | ((brand == "Dune") & dune),
        (brand == "Acme") & dune,
        (pl.col("direction") == "outbound") & spoken_for.list.contains(brand),
        pl.col("author_bio").str.contains("REPORTER,") & pl.col("author_verified").fill_null(False)
        & (pl.col("author_followers") >= 50_000),
        host.str.contains("//shop.example") | host.str.contains("//www.shop.example"),
        (pl.col("platform") == "reviews") & (handle == "h5"),
        pl.col("kind") == "order",
        says,
    ]  # fmt: skip
    label = pl.col("sentiment_label")
    motives = [
        language.is_in(["en", ""]) & text.str.contains(" wortoa "),
        pl.col("kind") == "idea",
        label == "negative",
        (label == "neutral") & text.str.contains("really"),
        label == "positive",
    ]
    ids = zip(rows["platform"], rows["author_id"], rows["author_handle"], strict=True)
    return rows.with_columns(
        account_key=pl.Series([account_key(*each) for each in ids], dtype=pl.UInt64),
        quarter=pl.col("created_at").dt.truncate("15m"),
        role_rank=pl.coalesce(*(pl.when(rule).then(number) for number, rule in enumerate(roles, 1)), pl.lit(NO_RULE)),
        wants=pl.when("inbound").then(pl.coalesce(*(pl.when(each).then(n) for n, each in enumerate(motives, 1)), pl.lit(0))),
        public=(pl.col("visibility") != "private") & (pl.col("kind") != "message"),
        mood=pl.col("sentiment_positive").cast(pl.Float64) - pl.col("sentiment_negative").cast(pl.Float64),
    )


def last(name: str, by: list[str], where: pl.Expr) -> pl.Expr:
    return pl.col(name).filter(where).sort_by(*(pl.col(each).filter(where) for each in by)).last()


def made(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """What the table, or the view, says of groups of rows. Of events at one time the least key is evidence."""
    alive, best = pl.col("inbound"), pl.col("role_rank") == pl.col("role_rank").min()
    said, stated, always = pl.col("wants").fill_null(0) > 0, ["author_at", "event_key"], pl.lit(True)
    groups = (
        rows.with_columns(late=-pl.col("event_key").cast(pl.Int64))
        .group_by(keys)
        .agg(
            pl.col("platform").first(),
            handle=last("author_handle", stated, pl.col("public")).fill_null(""),
            name=last("author_name", stated, pl.col("public")).fill_null(""),
            shown_at=pl.col("author_at").filter("public").max().fill_null(NEVER),
            author_kind=last("author_kind", stated, always),
            followers=last("author_followers", stated, always),
            verified=last("author_verified", stated, always),
            profile_at=pl.col("author_at").max(),
            first_seen=pl.col("created_at").min(),
            last_seen=pl.col("created_at").max(),
            mentions=alive.sum(),
            ours=(~alive).sum(),
            private=(alive & (pl.col("visibility") == "private")).sum(),
            **{each: (alive & (pl.col("sentiment_label") == each)).sum() for each in ("negative", "neutral", "positive")},
            score=pl.col("mood").filter(alive).sum(),
            role_rank=pl.col("role_rank").min(),
            role_event=last("event_key", ["created_at", "late"], best),
            **{COUNTS[motive]: (pl.col("wants") == number).sum() for number, (motive, _) in enumerate(MOTIVES, 1)},
            promotions=pl.lit(0),
            wants=last("wants", ["created_at", "event_key"], said).fill_null(0),
            motive_at=pl.col("created_at").filter(said).max().fill_null(NEVER),
            motive_event=last("event_key", ["created_at", "event_key"], said).fill_null(0),
        )
    )
    roles, motives = dict(enumerate(RULES, 1)) | {NO_RULE: ("", "")}, dict(enumerate(MOTIVES, 1)) | {0: ("", "")}
    return groups.with_columns(
        role_event=pl.when(pl.col("role_rank") == NO_RULE).then(0).otherwise("role_event"),
        role=pl.Series([roles[each][0] for each in groups["role_rank"]]),
        role_rule=pl.Series([roles[each][1] for each in groups["role_rank"]]),
        motive=pl.Series([motives[each][0] for each in groups["wants"]]),
        motive_rule=pl.Series([motives[each][1] for each in groups["wants"]]),
    )


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def rebuild(client: Client, version: int, roles: str = ROLES) -> None:
    client.command(rollup(roles).rebuild(SPANS, version), settings=SETTINGS)


def differing(client: Client, roles: str = ROLES) -> int:
    return differing_of(client, rollup(roles))


def differing_of(client: Client, made: Accounts) -> int:
    return sum(count for _, count in client.query(made.differences(SPANS), settings=SETTINGS).result_rows)


def same(client: Client, rows: pl.DataFrame) -> None:
    """The table and the view; whose mood is of the last 30 days, in which there is nothing."""
    alive = judged(counted(rows.with_columns(all_brands="brands"))).filter(pl.col("account_key") != 0)
    quarters = (
        "SELECT * EXCEPT (version, is_deleted) REPLACE (toDateTime64(quarter, 3, 'UTC') AS quarter) FROM account_quarters FINAL"
    )
    found = frame(client, quarters, {}, SETTINGS)
    assert found.height > 1_000 and set(found["role"]) == {"", *(role for role, _ in RULES)}
    equal(found, made(alive, KEY), KEY)
    expected = made(alive, ["brand", "account_key"]).with_columns(customer="account_key", mood=pl.lit(None, pl.Float64))
    equal(frame(client, "SELECT * FROM accounts", {}, SETTINGS), expected, ["brand", "account_key"])


def equal(found: pl.DataFrame, expected: pl.DataFrame, key: list[str]) -> None:
    expected = expected.select(found.columns).sort(key)
    assert_frame_equal(found.sort(key), expected, check_dtypes=False, rel_tol=1e-9, abs_tol=1e-9)


def test_it_equals_what_is_computed_after_edits_and_deletes_and_by_other_rules(client: Client) -> None:
    rows = people(12_000)
    client.insert_arrow("interactions", rows.to_arrow())
    rebuild(client, 1)
    same(client, rows)
    assert differing(client) == 0

    again = rows.slice(0, 1_500).with_columns(
        version=pl.lit(3, pl.UInt64), is_deleted=(pl.col("event_key") % 2).cast(pl.UInt8), brands=pl.lit(["Acme"])
    )
    client.insert_arrow("interactions", again.to_arrow())
    assert (many := differing(client)) > 500
    parts = rollup().parts(2 * PART + 1, ())
    assert len(parts) == 3 and sum(differing_of(client, part) for part in parts) == many
    for part in (*parts, *parts):
        client.command(part.rebuild(SPANS, 2), settings=OF_JOB)
    same(client, pl.concat([rows, again]))
    assert differing(client) == 0

    other = ROLES.replace("machine", "robot")
    assert differing(client, other) > 100
    rebuild(client, 3, other)
    assert differing(client, other) == 0 and differing(client)

    client.command("INSERT INTO interactions SELECT * REPLACE (9 AS version, 1 AS is_deleted) FROM interactions FINAL")
    rebuild(client, 4)
    assert differing(client) == 0 and client.command("SELECT count() FROM account_quarters FINAL", settings=SETTINGS) == 0


def test_ten_thousand_brands_with_competitors_are_one_statement(client: Client) -> None:
    """A pair of each brand and each account of its competitors, written into the statement, took more than a gigabyte."""
    names = [f"brand {number}" for number in range(10_000)]
    own = {name: frozenset(OwnAccount("forum", f"{name}-{each}", "") for each in range(2)) for name in names}
    shared = OwnAccount("", "", 'it\'s \\ "7"')
    own |= {name: own[name] | {shared} for name in names[6:8]}
    rivals = {name: (*(names[number - each] for each in range(1, 6)),) for number, name in enumerate(names)}
    named = BrandNames(names, NO_ZONES, {}, own, rivals)
    authors = [("@Brand 7-1", "a", 7), ("brand 6-0", "b", 7), ("brand 1-1", "c", 7), ("", shared.id, 7), ("", shared.id, 8)]
    columns = ("event_key", "version", "platform", "created_at", "author_handle", "author_id", "brands")
    rows = [(n, 1, "forum", START, handle, name, [f"brand {of}"]) for n, (handle, name, of) in enumerate(authors, 1)]
    client.insert("interactions", rows, columns)
    client.command(Accounts(parse_roles(ROLES.encode(), Path("roles.yaml")), named).rebuild(SPANS, 1), settings=OF_JOB)
    found = client.query("SELECT role_event, role FROM account_quarters FINAL WHERE role != '' ORDER BY role_event").result_rows
    assert found == [(1, "employee"), (2, "competitor"), (4, "employee"), (5, "competitor")]
