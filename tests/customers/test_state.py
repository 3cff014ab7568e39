"""The state over the real tables: evidence, commands and rules in, customers and moves out; a restart at any point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.customers.breaker import LIMIT
from pipeline.customers.state import State
from pipeline.errors import EarshotError
from pipeline.fence import GivenUp
from pipeline.identity.rules_file import RulesFile
from pipeline.privacy.graph import await_graph
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.erased_customers import suppressed
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.identity import Command
from tests.support.customers import House, emails, evidence, link, row


@pytest.fixture
def house(emptied: Settings) -> House:
    return House(emptied)


def test_evidence_commands_and_rules_become_customers(house: House) -> None:
    state = house.lead()
    change = state.take(emails((1, 9), (2, 9), (3, 8)), False)
    assert change.moved.rows() == [(2, 2, 1)] and house.customers() == {1: 1, 2: 1}
    state.command(link(state, 3, 1))
    assert house.customers() == {1: 1, 2: 1, 3: 1} and house.moves() == [(2, 2, 1, 0), (3, 3, 1, 1)]
    state.refuse(link(state, 3, 3), "a profile is not linked with itself")
    state.command(Command(state.next_sequence(), "split", 1, 1, 6_000))
    assert house.customers() == {2: 2, 3: 2} and state.next_sequence() == 4
    assert house.rows("SELECT sequence, action, refused != '', by FROM identity_commands ORDER BY sequence") == [
        (1, "link", False, "ines"), (2, "link", True, "ines"), (3, "split", False, ""),
    ]  # fmt: skip

    rules = RulesFile.model_validate({"types": {"email": {"profiles": 2}, "phone": {"link": "automatic"}}})
    state.take(emails((4, 9), at=9_000), True)
    state.take(evidence(row("value", "phone", 5, 77), row("value", "phone", 6, 77)), False)
    assert house.queue() == [("suggestion", 2)] and state.queue["suggestion"] == 2
    assert state.apply(rules, "ines").moved.height and state.version == 1
    assert house.customers() == {5: 5, 6: 5} and house.queue() == [("over limit", 3)]

    again = house.lead()
    assert again.graph.customers().assignments.rows() == [(5, 5), (6, 5)]
    assert (again.version, again.next_sequence(), +again.queue) == (1, 4, +state.queue)
    assert again.last_move == 0 and house.moves()[-1][:3] == (6, 6, 5)  # it had nothing to write
    terms = {sequence >> 40 for (sequence,) in house.rows("SELECT sequence FROM assignment_changes")}
    assert terms == {1}


def test_a_move_is_told_when_the_assignments_have_it(house: House) -> None:
    """The dictionary is loaded once it is told: of an earlier moment it would lack the link until the next move."""
    told = []

    class Watched(CustomerTables):
        def write_assignments(self, rows: pl.DataFrame, generation: int) -> None:
            if rows.height:
                told.append(state.last_move)
            super().write_assignments(rows, generation)

    state = house.lead(Watched)
    state.take(emails((1, 9), (2, 9)), False)
    assert told == [0] and state.last_move > 0


def test_the_same_evidence_is_stored_once(house: House) -> None:
    state = house.lead()
    for at in 1_000, 2_000, 500:
        state.take(emails((1, 9), at=at), False)
    state.take(emails((1, 9), at=300, basis="public"), False)
    house.lead().take(emails((1, 9), at=600), False)
    stored = house.rows("SELECT basis, toUnixTimestamp64Milli(at) FROM identity_edges ORDER BY basis, at")
    assert stored == [("given", 500), ("given", 1_000), ("public", 300)]


def test_own_accounts_stay_own(house: House) -> None:
    """Also where the row that says so is no news of the edge: somebody bore the handle before."""
    state = house.lead()
    state.take(emails((1, 9), (2, 9)), False)

    def known(rule: str, at: int) -> pl.DataFrame:
        return evidence(row("value", "handle", 1, 1, rule=rule, at=at))

    state.take(known("bears", 2_000), False)
    assert state.take(known("own", 3_000), False).moved.height == 1
    assert house.customers() == {} and house.queue() == [("own account", 1)]
    again = house.lead()
    assert again.graph.own.to_list() == [1] and house.queue() == [("own account", 1)]
    again.take(known("own", 4_000), False)
    assert house.rows("SELECT count() FROM identity_edges WHERE rule = 'own'") == [(1,)]


class Killed(Exception):
    """The process ends here."""


WRITES = ("write_edges", "write_command", "write_rules", "write_moves", "write_assignments", "write_queue", "write_mark")


def dying(name: str, before: bool) -> type[CustomerTables]:
    """Tables of a process that is killed before a write, or after it."""

    def write(self: CustomerTables, *args: Any) -> None:
        if not before:
            getattr(CustomerTables, name)(self, *args)
        raise Killed

    return type("Dying", (CustomerTables,), {name: write})


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", WRITES)
def test_a_kill_at_any_write_changes_nothing_in_the_end(house: House, name: str, before: bool) -> None:
    """Kafka gives the evidence again, and whoever commanded asks again if the command is not on record."""
    rules = RulesFile.model_validate({"types": {"email": {"profiles": 2}}})

    def work(tables: type[CustomerTables]) -> None:
        state = house.lead(tables)
        state.take(emails((1, 9), (2, 9), (3, 8)), False)
        state.take(emails(*((number, 7) for number in range(10, 10 + LIMIT + 200))), False)
        if not state.graph.commands:
            state.command(link(state, 3, 1))
        if not state.version:
            state.apply(rules, "ines")
        state.take(emails((20, 6), (21, 6), (22, 6)), False)

    with pytest.raises(Killed):
        work(dying(name, before))
    work(CustomerTables)
    assert house.customers() == {1: 1, 2: 1, 3: 1}
    reasons = dict(house.queue())
    assert reasons["over limit"] + reasons.get("held", 0) == LIMIT + 203
    if (name, before) != ("write_mark", True):  # then the count begins anew
        assert house.lead().holds
    as_of = "SELECT profile FROM assignments_as_of(at = now64(3)) WHERE customer != profile ORDER BY profile"
    assert house.rows(as_of) == [(2,), (3,)]
    assert house.rows("SELECT count() FROM identity_commands") == [(1,)]


def test_a_leader_that_was_replaced_writes_nothing(house: House) -> None:
    old = house.lead()
    old.take(emails((1, 9)), False)
    new = house.lead()
    with pytest.raises(GivenUp):
        old.take(emails((2, 9)), False)
    new.take(emails((3, 9)), False)
    assert house.customers() == {1: 1, 3: 1} and house.rows("SELECT count() FROM identity_edges") == [(2,)]


def test_the_breaker_holds_until_a_release_also_after_a_restart(house: House) -> None:
    state = house.lead()
    pairs = [(number, 100_000 + number // 2) for number in range(1_000, 1_000 + 2 * LIMIT + 4)]
    state.take(emails(*pairs[:1000]), False)
    state.take(emails(*pairs[1000:]), True)
    assert not state.holds, "imports do not count"
    more = [(number, 200_000 + number // 2) for number in range(5_000, 5_000 + 2 * LIMIT)]
    for start in range(0, len(more), 500):
        state.take(emails(*more[start : start + 500]), False)
    assert state.holds and dict(house.queue())["held"] > 0
    linked = len(house.customers())

    again = house.lead()
    assert again.holds
    again.take(emails((1, 1), (2, 1)), False)
    assert len(house.customers()) == linked and dict(house.queue())["held"] == again.queue["held"]
    again.take(emails((3, 2), (4, 2)), True)
    assert len(house.customers()) == linked + 2
    again.command(Command(again.next_sequence(), "release"))
    assert not again.holds and house.queue() == [] and len(house.customers()) == len(pairs) + len(more) + 4
    assert not house.lead().holds
    again = house.lead()
    again.take(emails((5, 3), (6, 3)), False)
    assert house.customers()[6] == 5


def test_an_error_within_a_change_ends_the_process(house: House) -> None:
    """Else the graph would be ahead of the tables."""
    state = house.lead(dying("write_moves", before=True))
    state.take(emails((1, 9)), False)
    with pytest.raises(Killed):
        state.take(emails((2, 9)), False)
    for next_one in (lambda: state.take(emails((3, 9)), False), lambda: state.command(link(state, 3, 1)), state.check):
        with pytest.raises(EarshotError, match="starts again"):
            next_one()
    house.lead()
    assert house.customers() == {1: 1, 2: 1}


def hashed(column: str, values: Sequence[str]) -> list[str]:
    return Pseudonymise(b"the key of the tests", "", DEFAULT).hashes(column, values)


KEPT = ("identity_edges", "identity_queue", "assignments", "customers")


def test_who_was_erased_leaves_the_graph_and_the_tables_and_does_not_come_back(house: House) -> None:
    """Their address goes on counting, and others' customers are as if they had never been."""

    def leader() -> State:
        one = house.leader()
        state = State(CustomerTables(one.inserter), hashed)
        state.start(house.term, one.lease.generation)
        return state

    def suppress(state: State, again: bool = False) -> int:
        return state.suppress(suppressed(lambda sql: asker(house.client)(sql, {})), again)

    state, gone = leader(), 1_000_001
    assert suppress(state) == 0, "as when the process has started"
    rows = emails((gone, 8), (2, 8), (gone, 9), (3, 9))
    crowd = emails(*((profile, 77) for profile in (gone, *range(20, 30))))
    claim = evidence(row("profile", "handle", 5, gone, claimed="their handle"))
    state.take(pl.concat([rows, crowd, claim]), True)
    state.command(link(state, gone, 4))
    assert house.customers().keys() == {gone, 2, 3, 4} and house.queue()
    house.client.insert("customers", [[gone, "their id"], [4, "of 4"]], column_names=["profile", "id"])
    house.client.insert("suppressions", [["account", gone]], column_names=["kind", "key"])

    with pytest.raises(EarshotError, match="`earshot customers` has \\d+ rows of the person still"):
        await_graph(house.client, Keys([gone]), 0)
    assert suppress(state) == 1 and suppress(state) == 0
    await_graph(house.client, Keys([gone]), 0)
    assert house.customers() == {} and state.graph.customers().assignments.is_empty(), "the crowd stays one"
    for table in KEPT:
        names = house.rows(f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{table}'")
        left = [f"toString({name}) = '{gone}'" for (name,) in names]
        assert house.rows(f"SELECT * FROM {table} WHERE {' OR '.join(left)}") == [], table
    assert [each[:3] for each in house.moves()] == [(2, gone, 2), (3, gone, 3), (4, gone, 4)], "that they part, no more"
    assert house.rows("SELECT id FROM customers") == [("of 4",)]
    assert house.rows("SELECT action, why FROM identity_commands ORDER BY sequence") == [("link", ""), ("erase", "")]

    again = leader()
    for leads in (state, again):
        leads.take(pl.concat([rows, crowd, claim]), True)  # the topic is read again
        assert leads.graph.knows([gone]) == [] and house.customers() == {}
    house.client.insert("customers", [[gone, "their id"]], column_names=["profile", "id"])  # an import was writing
    assert suppress(again) == 0 and suppress(again, again=True) == 0
    assert house.rows("SELECT id FROM customers") == [("of 4",)]
    again.take(emails((2, 5), (3, 5)), False)
    assert house.customers().keys() == {2, 3}
