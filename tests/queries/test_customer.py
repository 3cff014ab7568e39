"""`earshot query customer`: all channels of a customer, what it is, bought and waits for; as known now, and at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ
from pipeline.config.settings import Settings
from pipeline.errors import UnknownName
from pipeline.queries.customer import Customer, customer
from pipeline.rollups.rollup import Span, quarter_of
from pipeline.rollups.tables import load_rollups
from schemas.identity import account_key
from tests.support.commands import Run

NOW = datetime.now(UTC).replace(microsecond=0)
OLD, RECENT = NOW - timedelta(days=50), NOW - timedelta(days=2)
ANN, SHOP, EVE, CRM = (account_key(*each) for each in (("x", "ann"), ("shop", "4711"), ("x", "eve"), ("crm", "C-1")))
SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}
NAMES = (
    "event_key", "version", "id", "platform", "author_id", "author_handle", "created_at", "author_at", "brands", "kind",
    "text", "sentiment_label", "sentiment_negative", "sentiment_positive", "order_id", "order_amount", "order_currency",
    "conversation_id", "direction", "in_reply_to", "metrics_likes",
)  # fmt: skip


def row(key: int, author: str, at: datetime, **more: Any) -> list[Any]:
    platform, _, name = author.partition(":")
    values = dict.fromkeys(NAMES, "") | {"event_key": key, "version": 1, "id": f"{key}", "brands": ["Acme"], "kind": "post"}
    values |= {"platform": platform, "author_id": name, "author_handle": f"@{name}", "created_at": at, "author_at": at}
    values |= dict.fromkeys(("sentiment_negative", "sentiment_positive", "order_amount", "metrics_likes"))
    return list((values | more).values())


ROWS = [
    row(1, "x:ann", OLD, text="Should I buy one?", sentiment_label="neutral", sentiment_negative=0.5, sentiment_positive=0.25),
    row(2, "x:ann", RECENT, conversation_id="c", sentiment_label="negative", sentiment_negative=0.75, sentiment_positive=0.25),
    row(3, "x:ann", RECENT, brands=["Bolt"], metrics_likes=9),
    row(4, "shop:4711", RECENT, kind="order", order_id="A", order_amount=30.0, order_currency="EUR"),
    row(5, "shop:4711", RECENT, kind="order", order_id="A", order_amount=-10.0, order_currency="EUR"),
    row(6, "shop:4711", RECENT, kind="order", order_id="B", order_amount=None, brands=[]),
    row(7, "x:eve", RECENT, author_handle="@eve"),
    row(8, "x:acme", RECENT + timedelta(hours=1), direction="outbound", conversation_id="c", in_reply_to="2", kind="reply"),
]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        client.insert("interactions", ROWS, NAMES)
        for rollup in load_rollups(None, None):
            client.command(rollup.rebuild([Span(0, quarter_of(NOW) + 1)], 1), settings=SETTINGS)
        moves = [(n, profile, profile, ANN, RECENT) for n, profile in enumerate((SHOP, CRM), 1)]
        client.insert("assignment_changes", moves, ("sequence", "profile", "before", "after", "changed_at"))
        client.insert("assignments", [(profile, ANN, n) for n, profile, *_ in moves], ("profile", "customer", "sequence"))
        client.insert("customers", [(CRM, "C-1", NOW)], ("profile", "id", "imported_at"))
        yield client


def roles(found: Customer) -> list[tuple[str, str, str]]:
    return found.brands.select("brand", "role", "role_rule").rows()


def test_a_customer_on_a_page(client: Client) -> None:
    found = customer(client, SHOP, 20)
    assert (found.key, found.records) == (ANN, ["C-1"])
    assert roles(found) == [("Acme", "customer", "order"), ("Bolt", "customer", "crm")]
    acme = found.brands.row(0, named=True)
    assert (acme["mentions"], acme["mood"], acme["motive"], acme["motive_event"]) == (4, -0.5, "complaint", 2)
    accounts = found.accounts.select("brand", "platform", "handle", "role", "role_event").rows()
    assert sorted(accounts[:2]) == [("Acme", "shop", "@4711", "customer", 4), ("Acme", "x", "@ann", "customer", 0)]
    orders = found.orders.select("currency", "orders", "amount", "without_amount").rows()
    assert orders == [("", 1, 0.0, 1), ("EUR", 1, 20.0, 0)]
    assert found.threads.select("platform", "conversation_id", "words", "answered", "waiting").row(0) == ("x", "c", 1, 1, 0)
    likes = {account: engagement for account, engagement in found.influence.select("account", "engagement").rows()}
    assert likes == {f"{ANN:016x}": 4.5}, "its posts of 30 days"


def test_as_known_then(client: Client) -> None:
    then = customer(client, ANN, 20, OLD + timedelta(days=1))
    assert roles(then) == [("Acme", "prospect", "considers-it")]
    assert (then.records, then.orders.height, then.accounts.height) == ([], 0, 1)
    assert then.brands["mood"].to_list() == [-0.25]
    with pytest.raises(UnknownName, match="no row about a brand, no order, no record"):
        customer(client, EVE, 20, OLD)
    assert roles(customer(client, EVE, 20)) == [("Acme", "", "")]


def test_it_is_shown(client: Client, stacked: Run) -> None:
    shown = stacked("query", "customer", "--customer", "shop:4711")
    assert shown.out.startswith(f"customer {ANN:016x}, records C-1\n")
    assert all(part in shown.out for part in ("brands", "accounts", "orders", "influence", "threads", "crm"))
    page = json.loads(stacked("query", "customer", "--customer", "x:@ann", "--format", "json").out)
    assert (page["customer"], page["records"]) == (f"{ANN:016x}", ["C-1"])
    assert {each["currency"]: each["amount"] for each in page["orders"]} == {"": 0.0, "EUR": 20.0}
    assert [each["motive_event"] for each in page["brands"]][0] == f"{2:016x}"
    refused = stacked("query", "customer", "--customer", "x:ann", "--format", "csv")
    assert (refused.code, refused.err) == (2, "earshot: query customer has no --format csv: json has all of it\n")
    assert stacked("query", "customer").err.startswith("earshot: customer needs --customer")
    assert stacked("query", "customer", "--customer", "x:nobody").code == 1
