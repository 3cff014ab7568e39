"""Rows for the pages of the console: alerts, conversations, acts, dead letters."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import xxhash
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from schemas.alerts import Alert, Scope, State, alert_key, alert_rows
from schemas.times import whole_ms


def now() -> datetime:
    return whole_ms(datetime.now(UTC))


def an_alert(rule: str = "anger", brand: str = "Acme", ago_s: float = 60, **fields: object) -> Alert:
    """One that began to fire so long ago."""
    scope, at = Scope(brand=brand), now() - timedelta(seconds=ago_s)
    known: dict[str, object] = {
        "key": alert_key(rule, scope, int(at.timestamp())), "version": 1, "rule": rule, "type": "threshold", "scope": scope,
        "state": State.FIRING, "severity": 7, "since": at, "last_at": at, "changed_at": at, "raised_at": at,
        "measure": "negative_share", "observed": 0.91, "expected": 0.4, "summary": f"{brand}: 91 % of 120 are negative",
    }  # fmt: skip
    return Alert(**known | fields)  # type: ignore[arg-type]  # a test says which


def write_alerts(client: Client, *alerts: Alert) -> None:
    client.insert_arrow("alerts", alert_rows(alerts).to_arrow())


def a_thread(client: Client, conversation_id: str, brand: str = "Acme", platform: str = "reddit", **values: object) -> None:
    """A conversation in which somebody waits for two minutes."""
    at = now() - timedelta(minutes=2)
    row = {
        "brand": brand, "opened": at, "conversation": abs(hash(conversation_id)), "conversation_id": conversation_id,
        "platform": platform, "kind": "post", "private": False, "team": "", "waiting": 1, "waiting_since": at,
        "last_customer": at, "version": 1, "is_deleted": 0,
    } | values  # fmt: skip
    client.insert("threads", [list(row.values())], column_names=list(row))


def a_letter(
    client: Client,
    offset: int,
    raw: bytes,
    reason: str = "kind is not one of the kinds",
    key: bytes = b"k",
    step: str = "decode",
) -> None:
    """A dead letter of partition 0 of topic `events`."""
    columns = ("topic", "partition", "offset", "step", "reason", "rejected_at", "key", "raw", "content")
    row = ["events", 0, offset, step, reason, now(), key, raw, xxhash.xxh3_64_intdigest(raw)]
    client.insert("dead_letters", [row], column_names=columns)


def asked_again(settings: Settings, page: str, user: str = "analyst") -> list[list[tuple[object, ...]]]:
    """The rows of each statement that a page shows, asked as it stands there, by the analyst; by user console what is not for
    analysts."""
    found = re.findall(r'<details class="sql">.*?<code>(.*?)</code>', page, re.DOTALL)
    password = settings.console.clickhouse_password if user == "console" else SecretStr("")
    asked = settings.clickhouse.model_copy(update={"user": user, "password": password})
    with clickhouse_client(asked) as client:
        return [[tuple(row) for row in client.query(html.unescape(sql)).result_rows] for sql in found]
