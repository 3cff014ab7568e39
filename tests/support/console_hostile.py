"""Rows in which strangers wrote the worst of what they may, in every text that a page of the console shows."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import READ
from pipeline.notify.delivery_log import Delivery
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Span, quarter_of
from schemas.acts import COLUMNS, Act
from schemas.alerts import Alert, Scope, State, alert_key
from tests.support.console_rows import a_letter, a_thread, an_alert, now, write_alerts

MARK = "Zq9"
"""Is in each text: where it is on a page, a stranger's text is."""
ELSEWHERE = "http://evil.example"
_RAN = "window.ran=1"
_MARKUP = (
    f"<script>{_RAN}</script>",
    f"\"'><img src={ELSEWHERE}/x.png onerror={_RAN}>",
    f"<svg onload={_RAN}><animate onbegin={_RAN} attributeName=x></svg>",
    f"</textarea></title></script><script src={ELSEWHERE}/x.js></script>",
    f"<iframe srcdoc='<script>parent.{_RAN}</script>'></iframe><object data={ELSEWHERE}></object><embed src={ELSEWHERE}>",
    f"<a href=javascript:{_RAN} autofocus onfocus={_RAN}>x</a><details open ontoggle={_RAN}>",
    f"<div hx-get={ELSEWHERE}/hx hx-trigger=load hx-on:load={_RAN} data-hx-get=/logout sse-connect={ELSEWHERE}></div>",
    f"<form action={ELSEWHERE}><button formaction=javascript:{_RAN}>x</button></form>",
    f"<style>@import '{ELSEWHERE}/x.css'</style><link rel=stylesheet href={ELSEWHERE}><base href={ELSEWHERE}>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}'><!-- --!><![CDATA[ ]]>",
)
TEXTS = (
    f"{MARK}{''.join(_MARKUP)}",
    f"javascript:{_RAN}//{MARK}",
    f"data:text/html,<script>{_RAN}</script>{MARK}",
    f"{MARK} {{{{7*7}}}} {{% raw %}} ${{7*7}} #{{7*7}} <%= 7*7 %> %s %(x)s \\u003cscript\\u003e &lt;b&gt; &#60;",
    f"{MARK}{'w' * 100_000}",
    f"{MARK} z" + "\u0301" * 300,
    f"{MARK} \u202egnp.exe\u2066 \u200f\u2028\u2029 \x00 \x1b[31m\x1b]8;;{ELSEWHERE}\x07 \x7f\x9b \r\nSet-Cookie: a=b \ufeff",
    f"=cmd|' /C calc'!A0 {MARK}",
    f"\t@SUM(1+1) {MARK} שלום مرحبا",
    f"../..//{MARK}/%2e%2e/?#&;'\"\\`",
)
_COLUMNS = ("author_handle", "author_name", "author_id", "text", "language", "sentiment_language")
_SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}


class Written(NamedTuple):
    """What one text is in."""

    text: str
    name: str
    """The brand, and all else that has a length."""
    alert: Alert


def fill(client: Client) -> list[Written]:
    """Each text as a post, a name, a brand, a rule, a conversation, a comment, a dead letter, the words of a source."""
    written = [_alert(text) for text in TEXTS]
    write_alerts(client, *(each.alert for each in written))
    _posts(client, written)
    for number, each in enumerate(written):
        name = each.name
        a_thread(client, name, name, name, team=name)
        a_thread(client, f"t3_{number}", name, kind=name)
        a_letter(client, number + 10, each.text.encode(), each.text, name.encode())
        _told(client, each)
    _sources(client)
    return written


def _alert(text: str) -> Written:
    name, at = text[:300], now()
    key = alert_key(name, Scope(name), int(at.timestamp()))
    alert = an_alert(
        name, name, key=key, scope=Scope(name, name, name, name), summary=text, state=State.ACKNOWLEDGED, actor=text,
        comment=text, measure=name, terms=(text, name), query=f"SELECT 1 -- {text}", muted=name, platforms=(name,), type=name,
        samples=(key, key + 1),
    )  # fmt: skip
    return Written(text, name, alert)


def _posts(client: Client, written: list[Written]) -> None:
    at, rows = now() - timedelta(seconds=30), list[dict[str, object]]()
    for each in written:
        for number, brand in enumerate((each.name, "Acme")):
            texts = dict.fromkeys(
                ("author_handle", "author_name", "author_id", "text", "language", "sentiment_language"), each.text
            )
            own = {"event_key": each.alert.key + number, "created_at": at, "brands": [brand], "urls": [each.text]}
            names = {"platform": each.name, "kind": "post", "visibility": "public", "sentiment_label": "negative"}
            rows.append({**texts, **own, **names, "version": 1})
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        "event_key": pl.UInt64,
        "version": pl.UInt64,
        "created_at": pl.Datetime("ms", "UTC"),
    }
    client.insert_arrow("interactions", pl.DataFrame(rows, schema_overrides=types).to_arrow())
    span = Span(quarter_of(at - timedelta(hours=1)), quarter_of(at + timedelta(hours=1)))
    client.command(Quarters().rebuild([span], 1), settings=_SETTINGS)


def _told(client: Client, each: Written) -> None:
    name, at = each.name, now()
    tried = Delivery(each.alert.key, 1, name, 1, False, each.text, 120, at)
    client.insert("alert_deliveries", [tried], column_names=Delivery._fields)
    silence = {
        "silence_id": each.alert.key, "version": 1, "brand": name, "rule": name, "platform": name, "starts_at": at,
        "ends_at": at + timedelta(hours=2), "actor": each.text, "comment": each.text, "changed_at": at,
    }  # fmt: skip
    client.insert("alert_silences", [list(silence.values())], column_names=list(silence))
    case = {
        "brand": name, "platform": name, "conversation_id": name, "state": "taken", "owner": each.text, "actor": each.text,
        "comment": each.text, "since": at, "changed_at": at, "version": 1,
    }  # fmt: skip
    client.insert("cases", [list(case.values())], column_names=list(case))
    act = Act(each.text, "api", name, each.text, each.text, {name: each.text}, each.text, each.text)
    client.insert("acts", [act.row()], column_names=COLUMNS)


def _sources(client: Client) -> None:
    at, worst = now(), "".join(TEXTS)
    row = {
        "source": "feed", "platform": TEXTS[0], "state": "failing", "reason": TEXTS[0], "since": at, "events": 1, "errors": 1,
        "left_out": {text: 1 for text in TEXTS}, "listener": worst, "written_at": at,
    }  # fmt: skip
    client.insert("source_health", [list(row.values())], column_names=list(row))
    gaps = [["feed", text[:300], at, text] for text in TEXTS]
    client.insert("source_gaps", gaps, column_names=["source", "platform", "found_at", "reason"])
