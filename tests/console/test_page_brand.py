"""The page of a brand and the list of brands: their numbers are the named queries', and each shows its SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from typing import Any
from urllib.parse import urlencode

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from starlette.applications import Starlette

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console import brand_view
from pipeline.console.brand_data import Brand, brand_url
from pipeline.console.part import Part
from pipeline.console.reads import Reads
from pipeline.embedded.child import free_port
from schemas.alerts import Scope, alert_rows
from tests.console.hostile import HOSTILE
from tests.queries.events import counted, events, land
from tests.support.console import Browser
from tests.support.control_api import alert

NOW = datetime(2025, 10, 26, 12, 7, tzinfo=UTC)
SQL = re.compile(r"<code>(.+?)</code>", re.DOTALL)


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


@pytest.fixture
def at_noon(ines: Browser, app: Starlette) -> Iterator[Browser]:
    """The console at NOW; one event loop for all that it asks."""
    app.state.desk.clock = NOW.timestamp
    app.state.desk.reads._clock = NOW.timestamp
    with ines.client:
        yield ines


def _all(rows: pl.DataFrame, value: object) -> pl.Series:
    """A column that holds the value in each row."""
    return pl.Series([value] * len(rows))


def _query(name: str, at: datetime) -> str:
    return urlencode(
        {"brand": name, "from": (at - timedelta(hours=1)).isoformat(), "to": (at + timedelta(hours=1)).isoformat()}
    )


def listed(rows: pl.DataFrame) -> pl.DataFrame:
    """The posts about Acme that may be listed."""
    public = counted(rows).filter(brand="Acme", inbound=True, visibility="public")
    return public.filter(~pl.col("kind").is_in(["message", "email", "call"]))


def within(rows: pl.DataFrame, begin: datetime, end: datetime) -> pl.DataFrame:
    return rows.filter((rows["created_at"] >= begin) & (rows["created_at"] < end))


def lead(page: str, label: str) -> str:
    """A figure of the page."""
    found = re.search(rf'<span class="quiet">{label}</span>\s*<span class="lead">([^<]+)</span>', page)
    assert found, label
    return unescape(found[1])


def test_its_figures_are_those_of_the_rows(client: Client, at_noon: Browser) -> None:
    rows = events(3_000)
    land(client, rows)
    start = NOW - timedelta(hours=24, minutes=-8)
    mine = counted(rows).filter(brand="Acme", inbound=True)
    mine = within(mine, start, NOW + timedelta(minutes=8))
    labelled = mine.filter(mine["sentiment_label"] != "")
    page = at_noon.get("/brands/Acme?span=24h")
    assert page.status_code == 200 and "could not be read" not in page.text
    assert lead(page.text, "Mentions") == f"{len(mine):,}" != "0"
    negative = 100 * len(labelled.filter(sentiment_label="negative")) / len(labelled)
    assert lead(page.text, "Negative") == f"{negative:.1f}\u202f%"
    drawn = at_noon.get("/charts/brand/volume?brand=Acme&span=24h").json()
    assert len(drawn["x"]) == 96 and drawn["x"][0] == start.timestamp()
    assert sum(drawn["lines"][0]["values"]) == len(mine)


@pytest.mark.parametrize("span", ["1h", "6h", "24h", "7d", "30d", "90d", "1y", "2y"])
def test_each_span_has_charts_tables_and_sql_that_gives_the_same(client: Client, at_noon: Browser, span: str) -> None:
    land(client, events(600))
    page = at_noon.get(f"/brands/Acme?span={span}&zone=Europe/Berlin")
    assert page.status_code == 200 and "failed" not in page.text
    statements = [unescape(each) for each in SQL.findall(page.text)]
    assert len(statements) >= 10
    for statement in statements:
        client.query(statement, settings={"final": 1})
    volume = list(client.query(statements[0], settings={"final": 1}).named_results())
    mentions = {whole: sum(row["mentions"] for row in volume if row["whole"] == whole) for whole in (0, 1)}
    assert mentions[0] == mentions[1] == int(lead(page.text, "Mentions").replace(",", ""))
    for which in ("volume", "tone", "share"):
        assert at_noon.get(f"/charts/brand/{which}?brand=Acme&span={span}").status_code == 200


def test_share_of_voice_is_against_the_competitors(client: Client, at_noon: Browser) -> None:
    rows = events(3_000)
    land(client, rows)
    columns = ["brand", "version", "since", "competitors"]
    client.insert("panels", [("Acme", 1, datetime(2025, 1, 1, tzinfo=UTC), ["Bé's", "Dune"])], column_names=columns)
    mine = counted(rows).filter(inbound=True)
    mine = within(mine, datetime(2025, 9, 26, tzinfo=UTC), NOW + timedelta(minutes=8))
    counts = {name: many for name, many in mine.group_by("brand").len().iter_rows() if name in ("Acme", "Bé's", "Dune")}
    page = at_noon.get("/brands/Acme?span=30d").text
    assert lead(page, "Share of voice") == f"{100 * counts['Acme'] / sum(counts.values()):.1f}\u202f%"
    assert f'<a href="{escape(brand_url("Dune", span="30d"))}">' in page
    drawn = at_noon.get("/charts/brand/share?brand=Acme&span=30d").json()
    assert [line["label"] for line in drawn["lines"]][0] == "Acme" and len(drawn["lines"]) == 3
    lines = [line["values"] for line in drawn["lines"]]
    assert all(abs(sum(each) - 100) < 1e-6 for each in zip(*lines, strict=True) if None not in each)


def test_a_link_to_a_time_shows_that_time(client: Client, at_noon: Browser, app: Starlette) -> None:
    land(client, events(2_000))
    page = at_noon.get("/brands/Acme?span=7d").text
    kept = re.search(r'<a href="([^"]+)">A link to just this time', page)
    assert kept and "to=2025-10-26T12" in kept[1], kept
    app.state.desk.clock = app.state.desk.reads._clock = (NOW + timedelta(days=40)).timestamp
    later = at_noon.get(unescape(kept[1])).text
    assert lead(later, "Mentions") == lead(page, "Mentions")
    assert "No mentions in this time" in at_noon.get("/brands/Acme?span=7d").text


def test_alerts_are_drawn_in_and_listed(client: Client, at_noon: Browser) -> None:
    seen = alert(brand="Dune", key=0xFEED, rule="anger", severity=7, since=NOW - timedelta(hours=3), raised_at=NOW)
    seen = replace(seen, last_at=NOW - timedelta(hours=2))
    others = [replace(seen, key=1, test=True), replace(seen, key=2, scope=Scope("Acme"))]
    client.insert_arrow("alerts", alert_rows([seen, *others]).to_arrow())
    page = at_noon.get("/brands/Dune?span=6h").text
    assert f'<a href="/alerts/{seen.hex}">' in page and others[0].hex not in page and others[1].hex not in page
    (mark,) = at_noon.get("/charts/brand/volume?brand=Dune&span=6h").json()["marks"]
    assert (mark["x"], mark["href"], mark["severity"]) == (seen.since.timestamp(), f"/alerts/{seen.hex}", 7)
    assert "/alerts/" not in at_noon.get("/brands/Dune?span=1h").text


def test_a_point_leads_to_its_posts(client: Client, at_noon: Browser) -> None:
    rows = events(3_000)
    land(client, rows)
    drawn = at_noon.get("/charts/brand/volume?brand=Acme&span=24h").json()
    index = max(range(96), key=lambda n: drawn["lines"][0]["values"][n])
    begin = datetime.fromtimestamp(drawn["x"][index], UTC)
    mine = listed(rows)
    mine = within(mine, begin, begin + timedelta(minutes=15))
    page = at_noon.get(drawn["links"][index])
    assert page.status_code == 200
    assert page.text.count('<li class="card">') == len(mine) > 0


def test_posts_go_on_page_by_page_and_none_comes_twice(client: Client, at_noon: Browser) -> None:
    rows = events(3_000)
    land(client, rows)
    path, seen = "/posts?brand=Acme&from=2025-10-25T00:00Z&to=2025-10-27T00:00Z", 0
    mine = listed(rows)
    mine = within(mine, datetime(2025, 10, 25, tzinfo=UTC), datetime(2025, 10, 27, tzinfo=UTC))
    while path:
        page = at_noon.get(path).text
        seen += page.count('<li class="card">')
        older = re.search(r'<a class="button plain" href="([^"]+)">Older', page)
        path = f"/posts{unescape(older[1])}" if older else ""
    assert seen == len(mine) > 50


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_wrote_is_text(client: Client, at_noon: Browser, text: str) -> None:
    rows = events(40).head(1)
    at = NOW - timedelta(minutes=30)
    name = text[:300]
    rows = rows.with_columns(
        text=_all(rows, text), author_handle=_all(rows, text), brands=_all(rows, [name]), direction=_all(rows, "inbound"),
        visibility=_all(rows, "public"), created_at=_all(rows, at.replace(tzinfo=None)).cast(rows.schema["created_at"]),
    )  # fmt: skip
    land(client, rows)
    paths = [brand_url(name, span="1h"), "/brands", f"/posts?{_query(name, at)}"]
    for path in paths:
        page = at_noon.get(path)
        assert page.status_code == 200, path
        assert "<script>alert" not in page.text and "<img src=x" not in page.text
        shown = re.sub(r'value="[^"]*"', "", page.text)
        assert "\u202e" not in shown and not re.search(r'href="(javascript|data):', shown)
        assert len(page.content) < 200_000
    assert '<li class="card">' in page.text


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(client: Client, at_noon: Browser) -> None:
    land(client, events(100))
    for query, said in (
        ("span=3h", "There is no span"), ("to=0001-01-01T00:00", "the years are"), ("to=soon", "is no time"),
        ("zone=Mars/Base", "there is no time zone"), ("span=%00", "There is no span"),
        ("span=7d&to=2099-01-01", "has still to come"),
    ):  # fmt: skip
        page = at_noon.get(f"/brands/Acme?{query}")
        assert page.status_code == 400 and said in unescape(page.text), query
    assert 'value="soon"' in at_noon.get("/brands/Acme?to=soon").text
    for path in (
        "/brands/Acm",
        "/brands/%00",
        "/brands/" + "x" * 3_000,
        "/brands?page=10000000",
        "/brands?page=0",
        "/brands?page=2",
    ):
        answer = at_noon.get(path)
        assert answer.status_code == 404 and ('<a href="/brands">To Brands</a>' in answer.text) == ("?" not in path), path
    assert at_noon.get("/charts/brand/volume?brand=Acme&span=9h").status_code == 400
    assert at_noon.get("/charts/brand/nothing?brand=Acme").status_code == 404
    day = "brand=Acme&from=2025-10-25&to=2025-10-26"
    ahead = "brand=Acme&from=2098-12-31&to=2099-01-01"
    backwards, long = "brand=Acme&from=2025-10-26&to=2025-10-25", "brand=Acme&from=2020-01-01&to=2025-01-01"
    for query in ("", "brand=Acme&from=x&to=y", backwards, long, f"{day}&after=x", f"{day}&tone=angry", ahead):
        assert at_noon.get(f"/posts?{query}").status_code == 400, query


def test_an_empty_brand_says_so(at_noon: Browser) -> None:
    page = at_noon.get("/brands/Northwind%20Air")
    assert page.status_code == 200 and "No mentions in this time, nor before." in page.text


def test_all_brands_with_their_last_day(client: Client, at_noon: Browser) -> None:
    rows = events(3_000)
    land(client, rows)
    mine = counted(rows).filter(inbound=True)
    mine = within(mine, NOW - timedelta(hours=24, minutes=-8), NOW + timedelta(minutes=8))
    counts = dict(mine.group_by("brand").len().iter_rows())
    page = at_noon.get("/brands").text
    for name, many in counts.items():
        row = re.search(rf'{re.escape(brand_url(name))}">.*?<td class="number">([\d,]+)</td>', page, re.DOTALL)
        assert row and int(row[1].replace(",", "")) == many, name
    assert "Northwind Air" in page  # of brands.yaml, without mentions
    found = at_noon.get("/brands?search=dUn").text
    assert ">Dune<" in found and ">Acme<" not in found


def test_each_of_six_thousand_brands_can_be_reached(client: Client, at_noon: Browser) -> None:
    client.command(
        "INSERT INTO quarters (brand, quarter, platform, mentions, version, is_deleted) "
        "SELECT concat('brand', leftPad(toString(number), 4, '0')), toDateTime('2025-10-26 10:00:00', 'UTC'), 'reddit', "
        "1 + (number = 5999) * 7, 1, 0 FROM numbers(6000)"
    )
    first = at_noon.get("/brands").text
    assert first.index("brand5999") < first.index("brand0000")
    found = re.search(r"Page 1 of (\d+): ([\d,]+) brands", first.replace("\u202f", ","))
    assert found and int(found[2].replace(",", "")) >= 6_000
    assert '<a href="/brands/brand5998">' in at_noon.get("/brands?page=120").text
    assert at_noon.get(f"/brands?page={int(found[1]) + 1}").status_code == 404
    assert "brand4242" in at_noon.get("/brands?search=D4242").text


def test_a_figure_that_can_not_be_had_is_there_and_says_so() -> None:
    no: Part[Any] = Part(None, "It could not be read")
    found = brand_view.figures(Brand("Acme", no, no, no, no, no))
    labels = ["Mentions", "Negative", brand_view.TONE, "Share of voice", "Engagement", "Reach"]
    assert [(each.label, each.failed) for each in found] == [(label, True) for label in labels]


def test_without_clickhouse_it_says_since_when(at_noon: Browser, app: Starlette) -> None:
    desk = app.state.desk
    desk.reads = Reads(desk.settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"}), NOW.timestamp)
    page = at_noon.get("/brands/Acme")
    assert page.status_code == 200
    assert page.text.count('<div class="failed"') == 1 and "since <time" in page.text
    assert "2025-10-26 12:07:00 UTC" in page.text
    assert at_noon.get("/charts/brand/volume?brand=Acme").status_code == 503
    assert at_noon.get("/posts?brand=Acme&from=2025-10-25&to=2025-10-26").text.count('<div class="failed"') == 1
    assert '<div class="failed"' in at_noon.get("/brands").text
