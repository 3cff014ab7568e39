"""A value that a crowd has: whatever comes, the customers are those of everything at once, and not all of the crowd is read."""

from __future__ import annotations

import random
from dataclasses import replace

import polars as pl
import pytest

from pipeline.identity import graph as graphs
from pipeline.identity import reach, rows
from pipeline.identity.gates import Terms, gated
from pipeline.identity.graph import Graph
from schemas.identity import BASES, Action, Command, Policy
from tests.identity.histories import RULES, Piece, edge, equal, key, platform_of, take, whole
from tests.identity.test_graph import PROPERTIES, Property, holds

CROWD = range(1, 31)


def something(chance: random.Random, sequence: int, known: list[Piece]) -> list[Piece]:
    a, b, type_ = chance.choice(CROWD), chance.choice(CROWD), chance.choice(("email", "email", "phone"))
    value = edge("value", type_, a, chance.choice((1, 1, 2, 3)), at=chance.randint(0, 6), basis=chance.choice(BASES))
    edges = [piece for piece in known if isinstance(piece, dict)]
    match chance.randint(0, 9):
        case 0:
            return [a] if chance.random() < 0.5 else []
        case 1:
            return [edge("profile", "login", a, b)] if a != b else []
        case 2:
            given: Action = chance.choice(("withdraw", "consent"))
            return [Command(sequence, given, a, type=chance.choice(("", "email")))]
        case 3:
            judged: Action = chance.choice(("accept", "reject"))
            return [Command(sequence, judged, key(chance.choice(edges)))]
        case 4:
            return [Command(sequence, "split", a, b, at=5) if chance.random() < 0.5 else Command(sequence, "release")]
        case 5:
            # The crowd leaves: the value may link those who stay.
            gone = chance.sample(CROWD, 24)
            return [Command(sequence + number, "withdraw", one, type="email") for number, one in enumerate(gone)]
        case _:
            return [value, value | {"held": sequence + 20}, *([value | {"a": b, "a_platform": platform_of(b)}] * (a % 2))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_its_customers_are_those_of_everything(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CROWD", 4)
    monkeypatch.setattr(rows, "_FEW", 0)
    chance, graph = random.Random(seed), Graph(RULES)
    known: list[Piece] = [edge("value", "email", one, 1 + one % 2) for one in CROWD]
    take(graph, known)
    for step in range(25):
        come = something(chance, 1 + 30 * step, known)
        take(graph, come)
        known += come
        assert equal(graph.customers(), whole(known)), come


@pytest.mark.slow
@pytest.mark.parametrize("crowd", [0, 2])
@pytest.mark.parametrize("property_", PROPERTIES)
def test_all_that_holds_else_does_where_all_are_a_crowd(
    property_: Property, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "CROWD", crowd)
    holds(property_, 20, monkeypatch, few=0)


@pytest.mark.parametrize("stay", [2, 3, 4])
def test_those_who_stay_are_linked_once_they_are_few_enough(stay: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CROWD", 0)
    monkeypatch.setattr(rows, "_FEW", 0)
    known: list[Piece] = [edge("value", "email", one, 1, a_platform=f"p{one}") for one in CROWD]
    gone: list[Piece] = [Command(one, "withdraw", one) for one in CROWD[stay:]]
    graph = Graph(RULES)
    take(graph, known)
    take(graph, gone)
    assert graph.linked == (stay if stay <= RULES.types["email"].limit else 0)
    assert equal(graph.customers(), whole(known + gone))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were judged, by each change."""
    found: list[int] = []

    def counted(rows: pl.DataFrame, terms: Terms) -> pl.DataFrame:
        found.append(rows.height)
        return gated(rows, terms)

    monkeypatch.setattr(graphs, "gated", counted)
    return found


def test_one_more_of_a_crowd_costs_what_it_brings(judged: list[int]) -> None:
    """A piece of evidence took 0.2 s longer for each 100,000 accounts of an address that one of its edges had."""
    graph = Graph(RULES)
    crowd = [edge("value", "email", one, 1) for one in range(1, 12_000)]
    take(graph, crowd)
    more = [edge("value", "email", one, 1) for one in range(12_000, 12_003)]
    found = take(graph, more)
    assert found.refusals.get_column("after").to_list() == ["over limit"] * 3
    assert judged[1] < 20
    known = take(graph, more)
    assert known.new.is_empty() and known.new.columns == found.new.columns
    assert len(judged) == 2, "what is known is not judged again: a worker that starts again sends all that it sees"


def a_claim(a: int, handle: int, **given: object) -> Piece:
    return edge("profile", "handle", a, handle, a_platform="vk", b_platform="vk") | given


def bears(a: int, handle: int) -> Piece:
    return edge("value", "handle", a, handle)


@pytest.mark.parametrize(
    ("bearers", "basis", "after"),
    [(0, "given", ""), (1, "given", "over limit"), (1, "public", "basis"), (2, "given", "ambiguous handle")],
)
def test_one_more_claim_of_a_page_that_many_show_costs_what_it_brings(
    bearers: int, basis: str, after: str, judged: list[int]
) -> None:
    """A piece of evidence took 0.8 s of a processor longer where one of its bios shows a page that 100,000 others show."""
    first, star, page, own = 100, 50, 99_998, 99_999
    crowd = [a_claim(one, page, basis=basis) for one in range(first, first + 12_000)]
    known = [*crowd, *(bears(star + one, page) for one in range(bearers))]
    rules = replace(RULES, platforms={"vk": Policy(frozenset({"given"}))})
    graph = Graph(rules)
    take(graph, known)
    more = [a_claim(20_000, page, basis=basis), bears(20_000, own)]
    found = take(graph, more)
    assert found.refusals.get_column("after").to_list() == ([after] if after else [])
    back = [a_claim(star, own)]  # who bears the handle names one of them in turn
    moved = take(graph, back).moved.get_column("profile").to_list()
    assert set(moved) <= {star, 20_000} and bool(moved) is (after == "over limit")
    assert max(judged[1:]) < 40
    assert equal(graph.customers(), whole([*known, *more, *back], rules))


@pytest.mark.slow
@pytest.mark.parametrize("crowd", [0, 2])
def test_claims_of_a_page_that_many_show_are_judged_anew_where_they_have_to_be(
    crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the limit and back, named in turn, by an unknown profile, under a second handle, ambiguous in the end."""
    monkeypatch.setattr(reach, "CROWD", crowd)
    monkeypatch.setattr(rows, "_FEW", 0)
    star, page, second = 50, 99_998, 99_997
    rules = replace(RULES, platforms={"vk": Policy(frozenset({"given"}))})

    def handle(one: int) -> int:
        return 90_000 + one

    steps: list[list[Piece]] = [
        [a_claim(one, page, basis="public") for one in range(1, 9)] + [bears(one, handle(one)) for one in range(1, 30, 2)],
        [bears(star, page)],
        *([a_claim(one, page)] for one in range(10, 15)),  # over the limit by the fourth
        [Command(1, "withdraw", 10), Command(2, "reject", key(edge("profile", "handle", 11, page)))],
        [Command(3, "accept", key(edge("profile", "handle", 11, page)))],
        [a_claim(star, handle(13))],  # mutual
        [a_claim(star, handle(12))],  # of a handle that nobody is known to bear
        [bears(12, handle(12))],
        [a_claim(70, page)],
        [a_claim(star, 70)],  # of a platform without ids: who bears it has its key
        [a_claim(one, handle(13)) for one in range(20, 26)],  # a crowd's, too
        [a_claim(star, handle(13), basis="public", at=9)],
        [a_claim(star, handle(15)), a_claim(15, page)],
        [bears(star, second), *(a_claim(one, second) for one in (14, 16, 17, 13))],
        [Command(4, "withdraw", star, type="handle")],
        [Command(5, "consent", star, type="handle")],
        [a_claim(10, page), Command(6, "consent", 10)],
        [Command(7, "withdraw", 70)],
        [12],  # an own account
        [bears(17, page)],
    ]
    graph, known = Graph(rules), list[Piece]()
    for step in steps:
        take(graph, step)
        known += step
        assert equal(graph.customers(), whole(known, rules)), step
