"""The keys of edges after the hash key was changed: who is linked stays linked, and what stewards decided holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from pipeline.config.keys import HashKeys
from pipeline.config.settings import Settings
from pipeline.customers.rekeying import needed, rekey
from pipeline.customers.state import State
from pipeline.errors import ConflictError
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.raised_hashes import note
from schemas.contacts import DEFAULT
from schemas.identity import ERASED, Command, value_key
from tests.support.customers import House, evidence, row
from tests.support.worker import wait_for

BEFORE, AFTER = (Pseudonymise(HashKeys(keys), "DE", DEFAULT) for keys in (("key",), ("key", "later")))
MAIL, OTHER, GONE, NUMBER, REFUSED = "ann@example.org", "bob@example.org", "gone@example.org", "+4930901820", "+4930901821"
SHARES = [
    (1, MAIL),
    (2, MAIL),
    (3, OTHER),
    (4, OTHER),
    (5, GONE),
    (6, GONE),
    (7, NUMBER),
    (8, NUMBER),
    (9, REFUSED),
    (10, REFUSED),
]


@pytest.fixture
def house(emptied: Settings) -> Iterator[House]:
    house = House(emptied)
    yield house
    house.client.close()


def type_of(value: str) -> str:
    return "phone" if value.startswith("+") else "email"


def shares(step: Pseudonymise, *pairs: tuple[int, str]) -> pl.DataFrame:
    """That profiles have values, as a worker with the keys of a step says it."""
    hashed = [(a, type_of(value), step.hashes(f"author_{type_of(value)}", [value])[0]) for a, value in pairs]
    return evidence(*(row("value", type_, a, value_key(type_, hash_), hash=hash_) for a, type_, hash_ in hashed))


def lead(house: House, step: Pseudonymise) -> State:
    leader = house.leader()
    if step is AFTER:
        rekey(leader.inserter, step.chain)
    state = State(CustomerTables(leader.inserter), step.hashes)
    state.start(house.term, leader.lease.generation)
    return state


def decide(state: State, action: str, edges: pl.DataFrame) -> None:
    for edge in edges.get_column("edge"):
        state.command(Command(state.next_sequence(), action, edge, by="ines", why="known"))  # type: ignore[arg-type]


def test_links_and_decisions_are_as_before_and_what_no_table_has_stays(house: House) -> None:
    state = lead(house, BEFORE)
    state.take(shares(BEFORE, *SHARES), False)
    decide(state, "accept", shares(BEFORE, *SHARES[6:8]))
    decide(state, "reject", shares(BEFORE, SHARES[8]))
    house.client.insert("suppressions", [["account", 3]], column_names=["kind", "key"])
    state.suppress(pl.Series("key", [3], pl.UInt64), False)
    linked, waits = house.customers(), house.queue()
    assert {1, 2, 5, 6, 7, 8} <= set(linked) and waits
    stored = [each for value in (MAIL, OTHER, NUMBER, REFUSED) for each in BEFORE.hashes(f"author_{type_of(value)}", [value])]
    house.client.insert("suppressions", [["value", each] for each in stored], column_names=["kind", "value"])
    killed = house.leader()

    class Killed(Exception):
        pass

    def die(sql: str) -> None:
        raise Killed

    for name in ("command", "insert_all"):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
            whole = getattr(killed.inserter, name)
            patched.setattr(
                killed.inserter, name, lambda *args, whole=whole: die("") if "identity_" in args[0] else whole(*args)
            )
            rekey(killed.inserter, AFTER.chain)
    state = lead(house, AFTER)
    assert (house.customers(), house.queue()) == (linked, waits)
    keys = {
        value_key(type_of(value), *AFTER.hashes(f"author_{type_of(value)}", [value]))
        for value in (MAIL, OTHER, NUMBER, REFUSED)
    }
    [gone] = BEFORE.hashes("author_email", [GONE])
    found = house.rows("SELECT DISTINCT b FROM identity_edges WHERE kind = 'value' AND type IN ('email', 'phone')")
    assert {b for (b,) in found} == keys | {value_key("email", gone)}
    assert house.rows(f"SELECT count() FROM identity_edges FINAL WHERE held = {ERASED}") == [(1,)]
    assert rekey(house.leader().inserter, AFTER.chain) == 0
    state = lead(house, AFTER)
    state.take(shares(BEFORE, (11, MAIL)), False)  # a worker that has not been started again
    state.take(shares(AFTER, (12, NUMBER)), False)
    assert house.customers()[11] == house.customers()[1]
    assert ("suggestion", 1) in house.queue()


def test_the_key_is_changed_twice_before_customers_are_started_again(house: House) -> None:
    state = lead(house, BEFORE)
    state.take(shares(BEFORE, (1, MAIL), (2, MAIL)), False)
    last = Pseudonymise(HashKeys(("key", "later", "newest")), "DE", DEFAULT)
    [first], [second], [third] = (step.hashes("author_email", [MAIL]) for step in (BEFORE, AFTER, last))
    house.client.insert("suppressions", [["value", first]], column_names=["kind", "value"])
    note(house.leader().inserter, AFTER.chain)
    house.client.command("TRUNCATE TABLE suppressions")
    house.client.insert("suppressions", [["value", second]], column_names=["kind", "value"])
    assert rekey(house.leader().inserter, last.chain) == 2
    assert house.rows("SELECT DISTINCT b FROM identity_edges WHERE type = 'email'") == [(value_key("email", third),)]
    assert house.rows("SELECT old, new FROM raised_hashes FINAL ORDER BY generation, length(old)") == [
        (first, third), (second, third),
    ]  # fmt: skip


def test_edges_are_read_while_the_old_ones_are_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ClickHouse deletes is applied on the fly until its parts are made anew."""
    monkeypatch.setattr("pipeline.customers.rekeying.PIECE", 1)
    lead(house, BEFORE).take(shares(BEFORE, *SHARES[:4]), False)
    stored = [each for value in (MAIL, OTHER) for each in BEFORE.hashes("author_email", [value])]
    house.client.insert("suppressions", [["value", each] for each in stored], column_names=["kind", "value"])
    deletes = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'identity_edges'"
    edges = "SELECT count() FROM identity_edges WHERE kind = 'value'"
    house.client.command("SYSTEM STOP MERGES identity_edges")
    inserter = house.leader().inserter
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(rekey, inserter, AFTER.chain)
        try:
            wait_for("a delete", lambda: house.rows(f"{deletes} AND NOT is_done") == [(1,)])
            assert house.rows(edges) == [(6,)]
        finally:
            house.client.command("SYSTEM START MERGES identity_edges")
        assert done.result(60) == 4
    assert house.rows(edges) == [(4,)] and house.rows(deletes) == [(2,)]


def test_a_process_that_stood_by_with_the_keys_of_before_does_not_lead() -> None:
    assert [needed(*each) for each in ((1, 0), (1, 1), (2, 0), (2, 2), (3, 2))] == [False, False, True, False, True]
    with pytest.raises(ConflictError, match="edges are by hash_key 2, this process has 1"):
        needed(1, 2)
