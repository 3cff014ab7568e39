"""The evidence that CRM records give."""

from __future__ import annotations

import polars as pl

from pipeline.identity.graph import Graph
from pipeline.identity.profile_urls import ACCOUNTS
from pipeline.identity.rules_file import RulesFile
from pipeline.sources.crm.edges import edges_of
from schemas.evidence import dump, parse
from schemas.identity import account_key, value_key

JANE, BOB = account_key("crm", "1"), account_key("crm", "2")


def edges(version: int = 3) -> pl.DataFrame:
    records = pl.DataFrame(
        [(JANE, 1_000, "a" * 64, None), (BOB, 2_000, "a" * 64, "b" * 64)],
        {"profile": pl.UInt64, "at": pl.Int64, "email_hash": pl.String, "phone_hash": pl.String},
        orient="row",
    )
    accounts = [(1, "vk", None, "5"), (1, "twitter", "bob", None), (0, "shop", None, "17")]
    return edges_of(records, pl.DataFrame(accounts, ACCOUNTS, orient="row"), "given", version)


def test_each_value_and_account_is_an_edge() -> None:
    (record,) = dump(edges(), imported=True)
    found, imported = parse(record)
    assert imported
    assert found.select("rule", "rule_version", "basis", "a_platform", "event", "held").unique().rows() == [
        ("crm", 3, "given", "crm", 0, 0)
    ]
    names = ("kind", "type", "a", "b", "b_platform", "at", "claimed")
    assert set(found.select(names).rows()) == {
        ("value", "email", JANE, value_key("email", "a" * 64), "", 1_000, ""),
        ("value", "email", BOB, value_key("email", "a" * 64), "", 2_000, ""),
        ("value", "phone", BOB, value_key("phone", "b" * 64), "", 2_000, ""),
        ("profile", "login", BOB, account_key("vk", "5"), "vk", 2_000, ""),
        ("profile", "login", JANE, account_key("shop", "17"), "shop", 1_000, ""),
        ("profile", "handle", BOB, account_key("twitter", None, "bob"), "twitter", 2_000, "bob"),
    }
    assert edges().head(0).equals(edges_of(pl.DataFrame(schema={"profile": pl.UInt64, "at": pl.Int64,
        "email_hash": pl.String, "phone_hash": pl.String}), pl.DataFrame(schema=ACCOUNTS), "given", 3))  # fmt: skip


def test_a_record_and_its_account_are_one_customer_and_two_records_never() -> None:
    rules = RulesFile().compiled(3, lambda column, values: list(values))
    graph = Graph(rules)
    (record,) = dump(edges(), imported=True)
    graph.take(parse(record)[0])
    customers = dict(graph.customers().assignments.iter_rows())
    assert customers[JANE] == customers[account_key("shop", "17")] != customers[BOB] == customers[account_key("vk", "5")]
    assert "two CRM records" in graph.customers().refusals.get_column("reason").to_list()
