"""The customers: a pure function, whatever the order, the duplicates and the batches; and each decision is undone exactly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.identity import rows
from pipeline.identity.commands import decisions_of
from pipeline.identity.graph import Graph
from schemas.identity import EDGE_COLUMNS, Action, Command, Customers
from tests.identity.histories import PROFILES, RULES, Piece, batches, equal, histories, parts, platform_of, take, whole
from tests.identity.histories import key as key_of
from tests.identity.reference import Reference

FEW, MANY = 40, 2_000
"""Histories of each of the five properties: 200 together, and 10,000."""
IN_QUESTION = {"two CRM records", "never", "too large"}
LATEST = 100
DECIDED = ("accept", "reject")


def as_the_rules_say(history: list[Piece], chance: random.Random) -> None:
    found, of = whole(history), parts(history)
    expected = Reference(of.rows, of.commands, RULES, of.own)
    assert dict(found.assignments.iter_rows()) == expected.assignments
    assert dict(found.refusals.iter_rows()) == expected.refusals


def in_any_order(history: list[Piece], chance: random.Random) -> None:
    pieces = history + chance.sample(history, len(history) // 3)
    chance.shuffle(pieces)
    graph = Graph(RULES)
    told: list[dict[int, object]] = [{}, {}]
    kept = []
    for batch in batches(pieces, chance.sample(range(len(pieces)), 3)):
        change = take(graph, batch)
        kept.append(change.new.select(list(EDGE_COLUMNS)))
        for known, differing in zip(told, (change.profiles, change.refusals), strict=True):
            for key, before, after in differing.iter_rows():
                assert known.get(key) == before != after
                known[key] = after
    found = graph.customers()
    assert equal(found, whole(history))
    for known, now in zip(told, (found.assignments, found.refusals), strict=True):
        assert {key: value for key, value in known.items() if value is not None} == dict(now.iter_rows())
    assert equal(graph.under(RULES).customers(), whole(history))
    restarted, of = Graph(RULES), parts(history)
    restarted.take(pl.concat(kept), of.commands, of.own)
    assert equal(restarted.customers(), found), "the rows that were new are all that has to be kept"


def undone(history: list[Piece], chance: random.Random) -> None:
    graph = Graph(RULES)
    take(graph, history)
    before, known = graph.customers(), parts(history).commands
    a, b = chance.sample(range(1, 10), 2)
    state, pair, sequence = decisions_of(known), (min(a, b), max(a, b)), len(known) + 1
    steps: list[tuple[Action, Action]] = [("split", "lift")]
    steps += [("link", "unlink")] if pair not in state.links else []
    steps += [("never", "lift")] if pair not in state.nevers else []
    for step, back in steps:
        there = graph.take(commands=[Command(sequence, step, a, b, LATEST, "", platform_of(a), platform_of(b))])
        after = graph.customers()
        again = graph.take(commands=[Command(sequence + 1, back, b, a)])
        assert equal(graph.customers(), before)
        assert again.moved.select("profile", before="after", after="before").equals(there.moved)
        assert len(there.moved) or after.assignments.equals(before.assignments)
        sequence += 2


def split_off_the_profile_that_gave_the_id(history: list[Piece], chance: random.Random) -> None:
    graph = Graph(RULES)
    take(graph, history)
    before = graph.customers()
    for customer in before.assignments.get_column("customer").unique(maintain_order=True).to_list():
        rest = [profile for profile, of in before.assignments.iter_rows() if of == customer != profile]
        sequence = len(graph.commands) + 1
        graph.take(commands=[Command(sequence, "split", customer, customer, LATEST)])
        after = dict(graph.customers().assignments.iter_rows())
        assert customer not in after
        if not IN_QUESTION & set(before.refusals.get_column("reason")):  # else the place that is free may go to another
            assert {after.get(profile, profile) for profile in rest} <= {after.get(rest[0], rest[0])}
            others = {profile: of for profile, of in before.assignments.iter_rows() if of != customer}
            assert others == {profile: of for profile, of in after.items() if profile not in rest}
        resolves(graph.customers(), {customer, *before.assignments.get_column("customer")})
        graph.take(commands=[Command(sequence + 1, "lift", customer, customer)])
        assert equal(graph.customers(), before)


def each_id_resolves(history: list[Piece], chance: random.Random) -> None:
    pieces, graph, published, known = history[:], Graph(RULES), set[int](), dict[int, int]()
    chance.shuffle(pieces)
    for batch in batches(pieces, chance.sample(range(len(pieces)), 3)):
        for profile, before, after in take(graph, batch).moved.iter_rows():
            assert known.get(profile, profile) == before != after
            known[profile] = after
            published |= {before, after}
        resolves(graph.customers(), published)
    now = dict(graph.customers().assignments.iter_rows())
    assert {profile: customer for profile, customer in known.items() if customer != profile} == {
        profile: customer for profile, customer in now.items() if customer != profile
    }


def resolves(found: Customers, published: set[int]) -> None:
    """Each published id is a profile, in one customer, whose id is one of its own profiles."""
    of = dict(found.assignments.iter_rows())
    assert len(of) == len(found.assignments)
    for one in published:
        assert one in PROFILES
        customer = of.get(one, one)
        assert of.get(customer, customer) == customer


def the_same_once_the_hash_key_was_changed(history: list[Piece], chance: random.Random) -> None:
    """Edges of addresses and numbers have other keys then. Two addresses of a profile at one time: either may come first."""
    of, seen = parts(history), dict[object, int]()
    rows = [row for row in of.rows if seen.setdefault((row["type"], row["a"], row["at"]), row["b"]) == row["b"]]
    values = dict(zip(range(1, 5), chance.sample(range(100, 1_000), 4), strict=True))
    later = [row | {"b": values[row["b"]]} if row["type"] in ("email", "phone") else row for row in rows]
    keys = {key_of(row): key_of(new) for row, new in zip(rows, later, strict=True)}
    commands = [replace(each, a=keys.get(each.a, each.a)) if each.action in DECIDED else each for each in of.commands]
    before = whole([*rows, *of.commands, *of.own])
    after = whole([*later, *commands, *of.own], replace(RULES, blocked=RULES.blocked | {values[4]}))
    assert after.assignments.equals(before.assignments)
    assert dict(after.refusals.iter_rows()) == {keys.get(edge, edge): reason for edge, reason in before.refusals.iter_rows()}


Property = Callable[[list[Piece], random.Random], None]
PROPERTIES: list[Property] = [
    as_the_rules_say, in_any_order, undone, split_off_the_profile_that_gave_the_id, each_id_resolves,
    the_same_once_the_hash_key_was_changed,
]  # fmt: skip


def holds(property_: Property, examples: int, monkeypatch: pytest.MonkeyPatch, few: int = 8) -> None:
    monkeypatch.setattr(rows, "_FEW", few)  # as in a large graph, whose rows are sorted in now and then
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    given_ = given(histories(), st.randoms(use_true_random=False))
    settings(max_examples=examples, deadline=None, suppress_health_check=slow)(given_(property_))()


@pytest.mark.slow
@pytest.mark.parametrize("property_", PROPERTIES)
def test_it_holds(property_: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    holds(property_, FEW, monkeypatch)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("property_", PROPERTIES)
def test_it_holds_for_many(property_: Property, monkeypatch: pytest.MonkeyPatch) -> None:
    holds(property_, MANY, monkeypatch)
