"""Tables relations, measures and orders: what the rows say, whatever happened to them; and the truth of a generated stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from xxhash import xxh3_64_intdigest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ
from pipeline.config.settings import Settings
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.rollups.copied import MEASURES, ORDERS, RELATIONS
from pipeline.rollups.rollup import Span, quarter_of
from pipeline.sinks.rates import LOAD
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from schemas.identity import account_key
from tests.support.landed import land

TABLES = (RELATIONS, MEASURES, ORDERS)
SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}
START = datetime(2026, 9, 30, 23, 50, tzinfo=UTC)
ALWAYS = [Span(quarter_of(datetime(1995, 1, 1, tzinfo=UTC)), quarter_of(datetime(2100, 1, 1, tzinfo=UTC)))]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def rebuild(client: Client, version: int, spans: list[Span] = ALWAYS) -> None:
    for table in TABLES:
        client.command(table.rebuild(spans, version), settings=SETTINGS)


def differences(client: Client) -> dict[str, list[tuple[date, int]]]:
    found = {each.name: client.query(each.differences(ALWAYS), settings=SETTINGS).result_rows for each in TABLES}
    return {name: [(day, rows) for day, rows in days] for name, days in found.items() if days}


def stored(client: Client, columns: str, table: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns} FROM {table} FINAL ORDER BY created_at, event"
    rows = client.query(sql, settings=SETTINGS, query_tz="UTC", tz_mode="aware").result_rows
    return [tuple(row) for row in rows]


def key(name: str) -> int:
    return xxh3_64_intdigest(f"shop:{name}".encode())


def event(kind: str, name: str, minute: float, **more: Any) -> bytes:
    at = (START + timedelta(minutes=minute)).isoformat()
    return orjson.dumps({"id": name, "platform": "shop", "kind": kind, "created_at": at, "author": {"id": "ann"}} | more)


def undone(kind: str, name: str, minute: float) -> bytes:
    return event(kind, name, minute, operation="delete", occurred_at=(START + timedelta(days=1)).isoformat())


def test_relations_hold_until_they_are_undone(client: Client) -> None:
    land(
        client,
        [
            event("follow", "f", 0, target="acme", brands=["Acme"]),
            event("like", "l", 20, target="p"),
            event("reaction", "r", 21, target="p", reaction="love"),
            event("vote", "v", 22, author={}),
            event("post", "p", 1, brands=["Acme"]),
        ],
    )
    rebuild(client, 1)
    columns = "kind, event, brands, account, target, target_key, reaction, customer"
    ann = account_key("shop", "ann")
    assert stored(client, columns, "relations") == [
        ("follow", key("f"), ["Acme"], ann, "acme", key("acme"), "", ann),
        ("like", key("l"), [], ann, "p", key("p"), "", ann),
        ("reaction", key("r"), [], ann, "p", key("p"), "love", ann),
        ("vote", key("v"), [], 0, "", 0, "", 0),
    ]
    assert differences(client) == {}

    land(client, [undone("like", "l", 20), undone("follow", "f", 0), event("follow", "again", 90, target="acme")])
    assert differences(client) == {"relations": [(START.date(), 1), (date(2026, 10, 1), 2)]}
    rebuild(client, 2, [Span(quarter_of(START), quarter_of(START))])
    assert differences(client) == {"relations": [(date(2026, 10, 1), 2)]}
    rebuild(client, 3)
    rebuild(client, 3)
    assert [row[0] for row in stored(client, "event", "relations")] == [key("r"), key("v"), key("again")]
    assert differences(client) == {}


def test_measures_are_a_row_a_brand(client: Client) -> None:
    land(
        client,
        [
            event("measure", "m", 0, target="acme", brands=["Acme", "Bolt", "Acme"], measure={"name": "followers", "value": 7}),
            event("measure", "n", 1, measure={"name": "visits", "value": -0.5}, source={"name": "web"}),
            event("measure", "without value", 2, measure={"name": "visits"}),
            event("measure", "without name", 3, measure={"value": 3}),
        ],
    )
    rebuild(client, 1)
    assert sorted(stored(client, "name, brand, platform, target, event, value, source", "measures")) == [
        ("followers", "Acme", "shop", "acme", key("m"), 7.0, ""),
        ("followers", "Bolt", "shop", "acme", key("m"), 7.0, ""),
        ("visits", "", "shop", "", key("n"), -0.5, "web"),
    ]
    assert differences(client) == {}
    wrong = "SELECT * REPLACE (value + 1 AS value, 2 AS version) FROM measures FINAL WHERE brand = 'Bolt'"
    client.command(f"INSERT INTO measures {wrong}")
    assert differences(client) == {"measures": [(START.date(), 1)]}
    land(client, [undone("measure", "n", 1)])
    rebuild(client, 3)
    assert sorted(stored(client, "brand, value", "measures")) == [("Acme", 7.0), ("Bolt", 7.0)] and differences(client) == {}


def test_amounts_are_converted_or_a_column_says_why_not(client: Client) -> None:
    rates = [("USD", date(2026, 9, 29), 1.25), ("USD", date(2026, 10, 1), 1.5), ("CHF", date(2026, 10, 1), 0.8)]
    client.insert("rates", [(*rate, "file", 1) for rate in rates], ["currency", "day", "rate", "source", "version"])
    client.command(LOAD)

    def order(name: str, minute: float, **given: Any) -> bytes:
        return event("order", name, minute, visibility="private", order={"id": name.split()[0], **given})

    land(
        client,
        [
            order("a", 0, amount=10.0, currency="EUR"),
            order("b", 1, amount=10, currency="usd"),
            order("c", 2, amount=5.0),
            order("d", 3, amount=5.0, currency="€"),
            order("e", 4, amount=5.0, currency="CHF"),
            order("f", 5, currency="EUR"),
            order("b returned", 20, amount=-4.5, currency=" USD"),
            order("g", 21, amount=8.0, currency="CHF", campaign=""),
        ],
    )
    rebuild(client, 1)
    columns = "order_id, amount, conversion, converted, rate_of"
    before, on = date(2026, 9, 29), date(2026, 10, 1)
    in_euros = [
        ("a", 10.0, "converted", 10.0, None),
        ("b", 10.0, "converted", 8.0, before),
        ("c", 5.0, "no currency", None, None),
        ("d", 5.0, "unknown currency", None, None),
        ("e", 5.0, "no rate yet", None, None),
        ("f", None, "no amount", None, None),
        ("b", -4.5, "converted", -3.0, on),
        ("g", 8.0, "converted", pytest.approx(10.0), on),
    ]
    assert stored(client, columns, "orders") == in_euros
    assert differences(client) == {}

    now = datetime(2026, 10, 2, tzinfo=UTC)
    client.insert("reporting_currency", [("USD", "", now)], ["currency", "package", "written_at"])
    client.command(LOAD)
    in_dollars = {(row[0], row[1]): row[2:] for row in stored(client, columns, "orders")}
    assert in_dollars["a", 10.0] == ("converted", 12.5, before), "EUR has the rate of the last day before"
    assert in_dollars["b", 10.0] == ("converted", 10.0, None) and in_dollars["e", 5.0] == ("no rate yet", None, None)
    assert in_dollars["g", 8.0] == ("converted", pytest.approx(15.0), on)
    assert differences(client) == {}, "what is converted when it is read needs no rebuild"

    land(client, [undone("order", "b returned", 20)])
    rebuild(client, 2)
    assert len(stored(client, "order_id", "orders")) == 7 and differences(client) == {}


def test_without_any_rate_the_reporting_currency_is_what_it_is(client: Client) -> None:
    client.command(LOAD)
    currencies = {"x": "EUR", "y": "USD"}
    land(client, [event("order", name, 0, order={"amount": 2, "currency": code}) for name, code in currencies.items()])
    rebuild(client, 1)
    assert sorted(stored(client, "currency, conversion, converted", "orders")) == [
        ("EUR", "converted", 2.0),
        ("USD", "unknown currency", None),
    ]


def test_a_csv_of_measures_comes_by_its_mapping(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "measures_march.csv"
    path.write_text(
        "date,brand,platform,name,target,value\n"
        "2026-03-01,Acme,instagram,followers,acme,18230\n"
        "2026-03-01,Acme;Bolt,google,search_interest,acme bike,54.5\n"
        "2026-03-01T10:30:00,Acme,web,visits,,913\n"
        "2026-03-01,Acme,web,visits,,many\n"
        "2026-03-01,Acme,instagram,followers,acme,18231\n"
    )
    mapping = find_mapping(path)
    assert mapping is not None
    land(client, [orjson.dumps(item.event) for item in read_events(path, mapping) if isinstance(item, Mapped)])
    rebuild(client, 1)
    midnight, later = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    assert sorted(stored(client, "name, brand, platform, target, created_at, value, source", "measures")) == [
        ("followers", "Acme", "instagram", "acme", midnight, 18230.0, "measures"),
        ("search_interest", "Acme", "google", "acme bike", midnight, 54.5, "measures"),
        ("search_interest", "Bolt", "google", "acme bike", midnight, 54.5, "measures"),
        ("visits", "Acme", "web", "", later, 913.0, "measures"),
    ], "a number that can't be read is no measure, and one that comes again has the value that came first"
    assert client.query("SELECT DISTINCT direction FROM interactions").result_rows == [("outbound",)]


@pytest.mark.slow
def test_generated_events_are_as_the_truth_says(client: Client) -> None:
    blocks = list(Stream(Plan(20_000, sample_brands())).blocks())
    land(client, list(chain.from_iterable(block.values for block in blocks)), sample_brands())
    truth = [orjson.loads(line) for line in chain.from_iterable(block.truth for block in blocks)]
    rebuild(client, 1)
    assert differences(client) == {}
    told = {xxh3_64_intdigest(line["event"].encode()) for line in truth if line["kind"] in ("like", "follow")}
    found = {row[0]: row[1:] for row in stored(client, "event, account, target_key", "relations")}
    assert found.keys() == told and len(told) > 1_000
    liked = {line["event"]: line["of"] for line in truth if line["kind"] == "like"}
    assert all(found[xxh3_64_intdigest(key.encode())][1] == xxh3_64_intdigest(of.encode()) for key, of in liked.items())
    bought = {xxh3_64_intdigest(line["event"].encode()) for line in truth if line["kind"] == "order_after"}
    assert bought and bought <= {row[0] for row in stored(client, "event", "orders")}
    kinds = "SELECT countIf(kind = 'order'), countIf(kind = 'measure') FROM interactions FINAL"
    counts = client.query(kinds).result_rows[0]
    assert counts == (len(stored(client, "event", "orders")), len(stored(client, "event", "measures")))
