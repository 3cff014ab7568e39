"""The page of an alert: what `earshot alerts show` says, its counts against what was expected, and its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from starlette.applications import Starlette

from pipeline import console
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.settings import Settings
from pipeline.console.alert_data import RuleNow
from pipeline.console.alert_view import around
from pipeline.console.reads import Reads
from pipeline.embedded.child import free_port
from pipeline.notify.delivery_log import Delivery
from pipeline.processors.alerts.rules import load_rules
from schemas.alerts import COLUMNS, Alert, Scope, State, alert_rows
from tests.console.hostile import HOSTILE
from tests.support.console import Browser
from tests.support.control_api import alert

AT = datetime(2026, 10, 26, 12, 2, tzinfo=UTC)
KEY = "b303796f00000001"
FIRST = replace(
    alert(rule="volume", brand="Acme", type="spike", measure="volume", since=AT, changed_at=AT, raised_at=AT),
    key=int(KEY, 16), last_at=AT + timedelta(minutes=3), observed=24.0, expected=6.0, lower=2.0, upper=12.0,
    terms=("refund", "outage"), samples=(1, 2, 3), negative=30, neutral=6, positive=4,
    query="SELECT 1", summary="Acme: 24 mentions in 5 minutes",
)  # fmt: skip
MINE = FIRST.change(AT + timedelta(minutes=4), state=State.ACKNOWLEDGED, actor="Ines", comment="The provider is at it")


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


@pytest.fixture
def one_loop(ines: Browser) -> Iterator[Browser]:
    with ines.client:
        yield ines


def store(client: Client, *alerts: Alert) -> None:
    client.insert_arrow("alerts", alert_rows(alerts).to_arrow())


def test_of_ten_thousand_changes_the_newest_and_the_first_of_each_kind_are_shown(client: Client, one_loop: Browser) -> None:
    names = [name for name in COLUMNS if name not in ("version", "observed", "changed_at")]
    store(client, FIRST)
    client.command(
        f"INSERT INTO alerts ({', '.join(names)}, version, observed, changed_at) "
        f"SELECT {', '.join(names)}, number + 2, number, changed_at + number + 1 FROM alerts, numbers(10000) AS n"
    )
    store(client, replace(FIRST, version=10_002, changed_at=AT + timedelta(hours=9), state=State.RESOLVED, ended_at=AT))
    page = one_loop.get(f"/alerts/{FIRST.hex}").text
    assert "10,002 changes" in page.replace("\u202f", ",")
    told = re.findall(r'<td class="text">(?:<bdi class="said">)?(firing|resolved)', page)
    assert told == ["resolved", "firing"]


def write(client: Client, times: list[datetime], text: str = "the refund", **columns: object) -> None:
    """Events about Acme, with keys from 1 on."""
    rows = pl.DataFrame(
        {
            "event_key": pl.Series(range(1, len(times) + 1), dtype=pl.UInt64),
            "version": pl.Series([1] * len(times), dtype=pl.UInt64),
            "created_at": pl.Series(times, dtype=pl.Datetime("ms", "UTC")),
            "brands": [["Acme"]] * len(times),
            "text": [text] * len(times),
            "platform": ["forum"] * len(times),
            "visibility": ["public"] * len(times),
            "kind": ["post"] * len(times),
        }
    ).with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    client.insert_arrow("interactions", rows.to_arrow())


def test_it_says_what_is_known_about_the_alert(client: Client, one_loop: Browser) -> None:
    store(client, FIRST, MINE)
    write(client, [AT, AT, AT], author_handle="mia", sentiment_label="negative")
    tries = [
        Delivery(int(KEY, 16), 1, "chat", 1, False, "HTTP 500", 120, AT), Delivery(int(KEY, 16), 1, "chat", 2, True, "", 80, AT)
    ]  # fmt: skip
    client.insert("alert_deliveries", tries, column_names=Delivery._fields)
    page = one_loop.get(f"/alerts/{KEY}")
    text = unescape(re.sub(r"<[^>]+>", "", page.text))
    assert page.status_code == 200
    for said in (
        "Acme: 24 mentions in 5 minutes", "24 volume, expected 6, usual 2 to 12", "refund, outage",
        "by Ines: The provider is at it",
        "30 negative, 6 neutral, 4 positive: 75\u202f% negative", "HTTP 500", "type: spike",
    ):  # fmt: skip
        assert said in text, said
    assert page.text.count('<p class="post">') == 3
    states = re.findall(r'<span class="badge \w+">(sent|failed)</span>', page.text)
    assert states == ["sent", "failed"]
    assert 'href="/brands/Acme?span=24h&amp;to=2026-10-26T15%3A05%3A00Z"' in page.text


def test_the_chart_has_the_counts_and_what_was_expected(client: Client, one_loop: Browser) -> None:
    store(client, FIRST)
    write(client, [AT + timedelta(seconds=n) for n in range(24)] + [AT - timedelta(hours=1)] * 5)
    drawn = one_loop.get(f"/charts/alert/{KEY}").json()
    step = drawn["x"].index(datetime(2026, 10, 26, 12, tzinfo=UTC).timestamp())
    by_label = {line["label"]: line["values"] for line in drawn["lines"]}
    assert by_label["mentions"][step] == 24 and sum(by_label["mentions"]) == 29
    levels = ("expected", "usually at least", "usually at most", "as the rule saw it")
    assert [by_label[name][step + 1] for name in levels] == [6, 2, 12, 24]
    assert by_label["expected"][step - 5] is None
    page = one_loop.get(f"/alerts/{KEY}").text
    (statement,) = [unescape(each) for each in re.findall(r"<code>(SELECT toDateTime.+?)</code>", page, re.DOTALL)]
    rows = client.query(statement, settings={"final": 1}).result_rows
    assert sum(value for _, value in rows) == 29
    posts = one_loop.get(drawn["links"][step])
    assert posts.text.count('<li class="card">') == 24


def test_the_chart_ends_now_and_draws_no_future(client: Client, one_loop: Browser, app: Starlette) -> None:
    store(client, FIRST)
    for minutes, last, runs in ((7, 5, True), (65, 65, True), (9_000, 65, False)):
        app.state.desk.clock = (AT + timedelta(minutes=minutes)).timestamp
        drawn = one_loop.get(f"/charts/alert/{KEY}").json()
        assert drawn["x"][-1] == (AT.replace(minute=0) + timedelta(minutes=last)).timestamp(), minutes
        assert ("still runs" in one_loop.get(f"/alerts/{KEY}").text) == runs


def test_first_digits_lead_to_it_and_what_is_none_is_404(client: Client, one_loop: Browser) -> None:
    store(client, FIRST, replace(FIRST, key=int("b303796f00000002", 16)))
    found = one_loop.get("/alerts/B303796F00000001")
    assert (found.status_code, found.headers["location"]) == (303, f"/alerts/{KEY}")
    for key, said in (
        ("b303", "several alerts begin with b303"), ("ffff", "no alert whose key begins"), ("0" * 16, "no alert"),
        ("zz", "is no alert"), ("f" * 17, "is no alert"), ("%00", "is no alert"), ("x" * 3_000, "is no alert"),
    ):  # fmt: skip
        page = one_loop.get(f"/alerts/{key}")
        assert page.status_code == 404 and said in unescape(page.text), key
        assert one_loop.get(f"/charts/alert/{key}").status_code == 404


def test_posts_that_were_deleted_since_are_gone(client: Client, one_loop: Browser) -> None:
    store(client, FIRST)
    write(client, [AT, AT, AT], text="the secret refund")
    assert "the secret refund" in one_loop.get(f"/alerts/{KEY}").text
    write(client, [AT, AT], text="", version=pl.Series([2, 2], dtype=pl.UInt64), is_deleted=pl.Series([1, 1], dtype=pl.UInt8))
    page = one_loop.get(f"/alerts/{KEY}").text
    assert page.count('<p class="post">') == 1 and "2\u202fposts more" not in page and "2 posts more" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_what_strangers_wrote_is_text(client: Client, one_loop: Browser, text: str) -> None:
    short = text[:300]
    said = f"SELECT {quoted(short)}"
    hostile = replace(FIRST, scope=Scope(short), rule=short[:64], summary=short, terms=(short,), comment=short, query=said)
    store(client, hostile)
    write(client, [AT, AT, AT], text=text, author_handle=text, brands=[short])
    page = one_loop.get(f"/alerts/{KEY}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text and "<img src=x" not in page.text and "\u202e" not in page.text
    assert not re.search(r'href="(javascript|data):', page.text)


def test_other_rules_and_those_that_are_gone(client: Client, one_loop: Browser, emptied: Settings, app: Starlette) -> None:
    path = Path("alerts.yaml").absolute()
    share = "type: threshold, measure: negative_share, above: 0.75, window: 2m, runbook: 'https://wiki.example/anger'"
    reach = "type: threshold, measure: followers, aggregate: mean, above: 5, window: 10m, runbook: 'javascript:alert(1)'"
    quiet = "type: no_data, after: 90m"
    path.write_text(f"rules: [{{name: anger, {share}}}, {{name: reach, {reach}}}, {{name: quiet, {quiet}}}]")
    app.state.desk.settings = emptied.model_copy(update={"alerts": path})
    write(client, [AT] * 4, sentiment_label="negative", sentiment_status="labelled", author_followers=pl.Series([9] * 4))
    cases = [("anger", "negative_share", 100.0), ("reach", "followers", 9.0), ("quiet", "", 4.0), ("gone", "", 4.0)]
    for rule, measure, expected in cases:
        key = 7 + len(rule)
        store(client, replace(FIRST, key=key, rule=rule, type="x", measure=measure, expected=None, lower=None, upper=0.75))
        drawn = one_loop.get(f"/charts/alert/{key:016x}").json()
        assert max(value for value in drawn["lines"][0]["values"] if value is not None) == expected, rule
        page = one_loop.get(f"/alerts/{key:016x}").text
        assert ("has no rule" in page) == (rule == "gone")
        assert ('<a href="https://wiki.example/anger"' in page) == (rule == "anger") and 'href="javascript' not in page
    path.write_text("rules: 7\n")
    assert '<div class="failed"' in one_loop.get(f"/alerts/{key:016x}").text
    path.unlink()


def test_a_rule_stands_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    receivers = ", ".join(f"{{name: {name}, type: webhook, url: 'https://x.example'}}" for name in ("chat", "pager"))
    rule = "{name: volume, type: spike, by: [platform], resolve: 90m, receivers: [chat], escalate: {after: 15m, to: [pager]}}"
    path.write_text(f"receivers: [{receivers}]\nrules:\n- {rule}\n")
    rules = load_rules(path)
    again = tmp_path / "again.yaml"
    written = RuleNow(rules.rule("volume"), "alerts.yaml").text
    again.write_text(path.read_text().partition("rules:")[0] + "rules:\n- " + written.replace("\n", "\n  "))
    assert load_rules(again) == rules and "resolve: 90m" in written


def test_without_clickhouse_it_says_since_when(one_loop: Browser, app: Starlette) -> None:
    desk = app.state.desk
    desk.reads = Reads(desk.settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"}), AT.timestamp)
    page = one_loop.get(f"/alerts/{KEY}")
    assert page.status_code == 503 and "2026-10-26 12:02:00 UTC" in page.text
    assert one_loop.get(f"/charts/alert/{KEY}").status_code == 503 == one_loop.get("/alerts/b3").status_code


def test_who_may_act_is_offered_the_acts(client: Client, one_loop: Browser) -> None:
    store(client, FIRST)
    assert f'href="/alerts/{KEY}/acknowledge?from=alert"' in one_loop.get(f"/alerts/{KEY}").text
    store(client, MINE)
    page = one_loop.get(f"/alerts/{KEY}").text
    assert f"/alerts/{KEY}/acknowledge" not in page and f"/silence?alert={KEY}" in page
    store(client, MINE.change(AT, state=State.RESOLVED, ended_at=AT + timedelta(hours=1)))
    page = one_loop.get(f"/alerts/{KEY}").text
    assert "/silence" not in page and "It is over: there is nothing to acknowledge any more." in page


def test_what_is_read_anew_by_itself_leaves_its_links_alone() -> None:
    """htmx hands `hx-select` down: of an act's form, asked for from within, nothing would be left."""
    templates = Path(console.__file__).parent / "templates"
    tags = [tag for each in templates.glob("*.html") for tag in each.read_text().split("\n") if "hx-select=" in tag]
    assert tags and [tag for tag in tags if 'hx-disinherit="*"' not in tag] == []


def test_the_time_around_an_alert_ends_at_now() -> None:
    fresh, now = alert(brand="Acme"), datetime(2026, 10, 26, 12, 6, tzinfo=UTC)
    fresh = replace(fresh, last_at=now - timedelta(minutes=1))
    assert around(fresh, now) == "/brands/Acme?span=24h"
    assert around(fresh, now + timedelta(hours=4)) == "/brands/Acme?span=24h&to=2026-10-26T15%3A05%3A00Z"
