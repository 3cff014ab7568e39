"""The state over the real tables: evidence, commands and rules in, customers and moves out; a restart at any point."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.customers.state import State
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.sinks.customers import CustomerTables
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import Command, edge_keys
from schemas.times import utc_now

NOW = utc_now()


def no_hashes(column: str, values: Any) -> list[str]:
    assert not values
    return []


def emails(*pairs: tuple[int, int], at: int = 1_000) -> pl.DataFrame:
    """That each profile has the address."""
    rows = [
        {"kind": "value", "a": a, "b": b, "type": "email", "a_platform": f"p{a}", "b_platform": "", "rule": "email",
         "rule_version": 1, "basis": "given", "at": at + number, "event": 7, "held": 0, "claimed": ""}
        for number, (a, b) in enumerate(pairs)
    ]  # fmt: skip
    frame = pl.DataFrame([{"edge": 0, **row} for row in rows], schema=EVIDENCE_COLUMNS)
    return frame.with_columns(edge_keys(frame).alias("edge"))


class House:
    """Leaders over one database, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.client = clickhouse_client(settings.clickhouse)
        self.term = 0

    def lead(self) -> State:
        """A new leader that has read all."""
        self.term += 1
        leader = Leader("customers", "", self.client, Vitals())
        leader.lease.assigned(True)
        leader.lease.confirmed(leader.lease.now(), 600)
        leader.inserter.begin("customers", self.term)
        row = ("customers", self.term, 1, False, NOW)
        self.client.insert("leaders", [row], column_names=["name", "term", "holder", "released", "changed_at"])
        state = State(CustomerTables(leader.inserter), no_hashes)
        state.start(self.term, leader.lease.generation)
        return state

    def rows(self, sql: str) -> list[Any]:
        return list(self.client.query(sql).result_rows)

    def customers(self) -> dict[int, int]:
        return dict(self.rows("SELECT profile, customer FROM assignments FINAL WHERE is_deleted = 0"))

    def queue(self) -> dict[int, str]:
        return dict(self.rows("SELECT edge, reason FROM identity_queue FINAL WHERE is_deleted = 0"))

    def moves(self) -> list[Any]:
        return self.rows("SELECT profile, before, after, command FROM assignment_changes ORDER BY sequence")


@pytest.fixture
def house(emptied: Settings) -> House:
    return House(emptied)


def test_evidence_and_commands_become_customers(house: House) -> None:
    state = house.lead()
    outcome = state.take(emails((1, 9), (2, 9), (3, 8)), False)
    assert outcome.moved.rows() == [(2, 2, 1)] and house.customers() == {1: 1, 2: 1}
    state.command(Command(state.next_sequence(), "link", 3, 1, 5_000, "", "p3", "p1", by="ines", why="the same"))
    assert house.customers() == {1: 1, 2: 1, 3: 1}
    assert house.moves() == [(2, 2, 1, 0), (3, 3, 1, 1)]
    state.command(Command(state.next_sequence(), "split", 1, 1, 6_000))
    assert house.customers() == {2: 2, 3: 2}
    assert house.lead().graph.customers().assignments.rows() == [(2, 2), (3, 2)]
