"""Customers as the tests see them: evidence of e-mail addresses, leaders one after the other, the rows of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.customers.state import State
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.sinks.customers import CustomerTables
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import Command, edge_keys
from schemas.times import utc_now
from schemas.untyped import JsonObject


def row(kind: str, type_: str, a: int, b: int, **given: object) -> JsonObject:
    """A row of evidence; each profile is on a platform of its own."""
    platform = f"p{b}" if kind == "profile" else ""
    base = {
        "edge": 0,
        "kind": kind,
        "a": a,
        "b": b,
        "type": type_,
        "a_platform": f"p{a}",
        "b_platform": platform,
        "rule": type_,
    }
    more = {"rule": type_, "rule_version": 1, "basis": "given", "at": 1_000 + a % 1_000, "event": 7, "held": 0, "claimed": ""}
    return base | more | given


def evidence(*rows: JsonObject) -> pl.DataFrame:
    """EVIDENCE_COLUMNS."""
    frame = pl.DataFrame({name: [row.get(name, "") for row in rows] for name in EVIDENCE_COLUMNS}, schema=EVIDENCE_COLUMNS)
    return frame.with_columns(edge_keys(frame).alias("edge"))


def emails(*pairs: tuple[int, int], **given: object) -> pl.DataFrame:
    """That each profile has the address."""
    return evidence(*(row("value", "email", a, b, **given) for a, b in pairs))


def link(state: State, a: int, b: int) -> Command:
    """The next command: both belong to one person."""
    return Command(state.next_sequence(), "link", a, b, 5_000, "", f"p{a}", f"p{b}", by="ines", why="the same")


def no_hashes(column: str, values: Sequence[str]) -> list[str]:
    """Of rules that block nothing."""
    assert not values
    return []


class House:
    """Leaders over one database, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.client: Client = clickhouse_client(settings.clickhouse)
        self.term = 0

    def leader(self) -> Leader:
        """One that leads under the next term; those before can't write any more."""
        self.term += 1
        leader = Leader("customers", "", self.client, Vitals())
        leader.lease.assigned(True)
        leader.lease.confirmed(leader.lease.now(), 600)
        leader.inserter.begin("customers", self.term)
        names = ["name", "term", "holder", "released", "changed_at"]
        self.client.insert("leaders", [("customers", self.term, 1, False, utc_now())], column_names=names)
        return leader

    def lead(self, tables: type[CustomerTables] = CustomerTables) -> State:
        """The state of a new leader, which has read all."""
        leader = self.leader()
        state = State(tables(leader.inserter), no_hashes)
        state.start(self.term, leader.lease.generation)
        return state

    def rows(self, sql: str) -> list[Any]:
        return list(self.client.query(sql).result_rows)

    def customers(self) -> dict[int, int]:
        rows: list[tuple[int, int]] = self.rows("SELECT profile, customer FROM assignments FINAL WHERE is_deleted = 0")
        return dict(rows)

    def queue(self) -> list[tuple[str, int]]:
        """How many edges link nobody, by reason."""
        where = "WHERE is_deleted = 0 GROUP BY reason ORDER BY reason"
        return self.rows(f"SELECT reason, count() FROM identity_queue FINAL {where}")

    def moves(self) -> list[tuple[int, ...]]:
        return self.rows("SELECT profile, before, after, command FROM assignment_changes FINAL ORDER BY sequence")
