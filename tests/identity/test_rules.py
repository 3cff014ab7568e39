"""What links, what does not, and why: one example a rule."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipeline.identity.graph import Graph, customers
from schemas.identity import Command, Rules, TypeRule
from schemas.untyped import JsonObject
from tests.identity.histories import RULES, Piece, edge, equal, frame, key, platform_of, take

CRM_1, X_1, VK_1, FB, VK_2, CRM_2, SHOP, X_2, MUTE = 9, 1, 2, 3, 4, 5, 6, 7, 8
"""Profiles, by their platform."""
MAIL, BLOCKED, HANDLE, OTHER_HANDLE = 1, 4, 31, 32


def mail(profile: int, value: int = MAIL, **given: object) -> JsonObject:
    return edge("value", "email", profile, value, **given)


def bears(profile: int, handle: int) -> JsonObject:
    return edge("value", "handle", profile, handle)


def claims(profile: int, handle: int, platform: str = "vk", **given: object) -> JsonObject:
    return edge("profile", "handle", profile, handle, **{"b_platform": platform, "basis": "public", **given})


def link(sequence: int, a: int, b: int, confirmed: bool = False) -> Command:
    return Command(sequence, "link", a, b, 0, "", platform_of(a), platform_of(b), confirmed)


def found(
    *edges: JsonObject, commands: tuple[Command, ...] = (), rules: Rules = RULES, own: tuple[int, ...] = ()
) -> tuple[dict[int, int], list[str]]:
    """The customers, and the reasons of the review queue: the same for all at once and for one after the other, either way."""
    result = customers(frame(edges), commands, rules, own)
    forward: list[Piece] = [*edges, *own, *commands]
    commands_first: list[Piece] = [*commands, *own, *edges]
    for pieces in forward, forward[::-1], commands_first:
        graph = Graph(rules)
        for piece in pieces:
            take(graph, [piece])
        assert equal(graph.customers(), result)
    return dict(result.assignments.iter_rows()), sorted(result.refusals.get_column("reason").to_list())


BOTH = (mail(FB, at=1), mail(SHOP, at=2))
MUTUAL = (
    {**bears(FB, HANDLE), "held": 1}, bears(VK_1, OTHER_HANDLE), claims(VK_1, HANDLE), claims(FB, OTHER_HANDLE)
)  # fmt: skip
"""Both name each other, and whom one of both names is known since the breaker holds."""


@pytest.mark.parametrize(
    ("edges", "commands", "reasons"),
    [
        ((mail(FB, BLOCKED), mail(SHOP, BLOCKED)), (), ["blocked"] * 2),
        ((mail(X_1, basis="public"), mail(SHOP)), (), ["basis"]),
        ((mail(MUTE), mail(SHOP)), (), ["basis"]),
        (BOTH, (Command(1, "withdraw", FB, type="email"),), ["withdrawn"]),
        (BOTH, (Command(1, "reject", key(mail(FB))),), ["rejected"]),
        ((mail(FB), mail(SHOP, held=1)), (), ["held"]),
        ((mail(CRM_1), mail(CRM_2)), (), ["two CRM records"]),
        ((), (link(1, CRM_1, CRM_2),), ["two CRM records"]),
        (BOTH, (Command(1, "never", SHOP, FB),), ["never"]),
        ((mail(VK_1), mail(VK_2), mail(2 + 9)), (), ["over limit"] * 3),
        ((edge("value", "phone", FB, 1), edge("value", "phone", SHOP, 1)), (), ["suggestion"] * 2),
        ((edge("value", "page", FB, 1), edge("value", "page", SHOP, 1)), (), ["suggestion"] * 2),
        ((edge("value", "phone", FB, 1),), (), []),
        ((bears(FB, HANDLE), claims(VK_1, HANDLE)), (), ["suggestion"]),
        ((claims(VK_1, HANDLE),), (), []),
        ((bears(FB, HANDLE), claims(FB, HANDLE)), (), []),
        (MUTUAL, (), ["held"] * 2),
    ],
)
def test_these_link_nobody(edges: tuple[JsonObject, ...], commands: tuple[Command, ...], reasons: list[str]) -> None:
    assert found(*edges, commands=commands) == ({}, reasons)


@pytest.mark.parametrize(
    ("edges", "commands"),
    [
        (BOTH, ()),
        ((mail(FB, basis="public"), mail(FB, basis="unknown"), mail(SHOP)), ()),
        ((mail(X_1, basis="public"), mail(X_1, basis="given", at=5), mail(SHOP)), ()),
        ((mail(X_1, basis="public"), mail(SHOP)), (Command(1, "consent", X_1, type="email"),)),
        (BOTH, (Command(1, "withdraw", FB), Command(2, "consent", FB, type="email"))),
        ((mail(FB), mail(SHOP, held=1)), (Command(1, "release"),)),
        ((mail(CRM_1), mail(SHOP)), ()),
        ((), (link(1, CRM_1, CRM_2, confirmed=True),)),
        (BOTH, (Command(1, "never", SHOP, FB), Command(2, "lift", FB, SHOP))),
        ((edge("profile", "login", FB, SHOP),), ()),
        ((bears(FB, HANDLE), bears(VK_1, OTHER_HANDLE), claims(VK_1, HANDLE), claims(FB, OTHER_HANDLE)), ()),
        ((bears(FB, HANDLE), claims(VK_1, HANDLE)), (Command(1, "accept", key(claims(VK_1, HANDLE))),)),
        (MUTUAL, (Command(1, "release"),)),
    ],
)
def test_these_link(edges: tuple[JsonObject, ...], commands: tuple[Command, ...]) -> None:
    linked, reasons = found(*edges, commands=commands)
    assert len(linked) == 2 and len(set(linked.values())) == 1
    assert set(reasons) <= {"basis"}


def test_a_claim_may_name_a_profile_by_its_id() -> None:
    one, back = claims(VK_1, FB, "fb"), claims(FB, VK_1)
    assert found(one) == ({}, [])
    assert found(bears(FB, FB), one) == ({}, ["suggestion"])
    linked, _ = found(one, back)
    assert set(linked) == {VK_1, FB}


def test_own_accounts_link_nobody() -> None:
    assert found(*BOTH, mail(VK_1), own=(FB,)) == ({SHOP: VK_1, VK_1: VK_1}, ["own account"])


def test_a_suggested_number_links_who_really_has_it() -> None:
    rows = [edge("value", "phone", profile, 1) for profile in (FB, SHOP, VK_1)]
    commands = tuple(Command(n, "accept", key(row)) for n, row in enumerate(rows[:2], 1))
    linked, reasons = found(*rows, commands=commands)
    assert set(linked) == {FB, SHOP} and reasons == ["suggestion"]


def test_a_handle_that_two_accounts_bore_links_nobody() -> None:
    rows = [bears(FB, HANDLE), bears(VK_1, OTHER_HANDLE), claims(VK_1, HANDLE), claims(FB, OTHER_HANDLE)]
    linked, reasons = found(*rows, bears(VK_2, HANDLE))
    assert linked == {} and reasons == ["ambiguous handle", "suggestion"]


def test_a_mutual_claim_on_x_links_only_where_public_data_may() -> None:
    rows = [bears(X_1, HANDLE), bears(VK_1, OTHER_HANDLE), claims(VK_1, HANDLE, "x"), claims(X_1, OTHER_HANDLE)]
    assert found(*rows) == ({}, ["basis"] * 2)
    linked, _ = found(*rows, rules=replace(RULES, platforms={}))
    assert set(linked) == {X_1, VK_1}


def test_a_value_over_its_limit_takes_its_earlier_links_back() -> None:
    graph = Graph(Rules(1, {"email": TypeRule(1)}))
    profiles = range(1, 10_001)
    rows = frame([edge("value", "email", profile, MAIL, a_platform=f"p{profile}", at=profile) for profile in profiles])
    assert len(graph.take(rows[:10]).moved) == 9
    assert graph.take(rows[10:11]).moved.get_column("after").to_list() == list(range(2, 11))
    graph.take(rows[11:])
    assert graph.customers().assignments.is_empty()
    assert graph.customers().refusals.get_column("reason").to_list() == ["over limit"] * len(profiles)


def test_no_customer_is_larger_than_the_limit() -> None:
    chain = [edge("profile", "login", a, a + 1, at=a) for a in range(1, 8)]
    linked, reasons = found(*(row | {"a_platform": "p", "b_platform": "p"} for row in chain))
    assert set(linked) == {1, 2, 3, 4, 5, 6, 7, 8} and sorted(map(list(linked.values()).count, set(linked.values()))) == [4, 4]
    assert reasons == ["too large"]


def test_a_customer_that_grows_keeps_its_id() -> None:
    graph = Graph(RULES)
    graph.take(frame([mail(SHOP, 2, at=1)]))  # alone, and older than all
    graph.take(frame([mail(VK_1, at=2), mail(FB, at=3)]))
    assert dict(graph.customers().assignments.iter_rows()) == {VK_1: VK_1, FB: VK_1}
    moved = graph.take(frame([mail(FB, 2, at=4)]))
    assert moved.moved.rows() == [(SHOP, SHOP, VK_1)]


def test_a_split_holds_the_rest_together_and_holds_against_later_evidence() -> None:
    graph = Graph(RULES)
    graph.take(frame([mail(FB, 1), mail(VK_1, 1, at=1), mail(VK_1, 2, at=1), mail(SHOP, 2, at=1)]))
    graph.take(commands=[Command(1, "split", VK_1, FB, at=5)])
    assert dict(graph.customers().assignments.iter_rows()) == {FB: FB, SHOP: FB}
    graph.take(frame([mail(VK_1, 3, at=6), mail(SHOP, 3, at=6), mail(X_1, 3, at=7)]))
    assert VK_1 not in dict(graph.customers().assignments.iter_rows()) or "never" in graph.customers().refusals["reason"]
    split = dict(graph.customers().assignments.iter_rows())
    assert split.get(VK_1, VK_1) != split[SHOP] == split[FB]


def test_a_split_takes_effect_whatever_the_time_of_the_edges() -> None:
    graph = Graph(RULES)
    graph.take(frame([mail(FB, at=1), mail(VK_1, at=7), mail(SHOP, at=2)]))
    assert (graph.newest(VK_1), graph.newest(X_1)) == (7, 0)
    graph.take(commands=[Command(1, "split", VK_1, FB, at=graph.newest(VK_1))])
    assert dict(graph.customers().assignments.iter_rows()) == {FB: FB, SHOP: FB}


def test_many_edges_are_computed_by_column() -> None:
    """CPU seconds of this process, several times what it takes: a loop over pairs would need minutes."""
    count = 200_000
    rows = pl.DataFrame({"a": np.arange(count) // 2 + 1_000, "b": np.arange(count) // 4 * 7 + np.arange(count) % 2})
    many = pl.concat([frame([mail(FB)])] * count).with_columns(rows.select(pl.all().cast(pl.UInt64)).iter_columns())
    graph = Graph(replace(RULES, platforms={}))
    start = time.process_time()
    graph.take(many)
    for number in range(10):
        graph.take(frame([mail(SHOP, number)]), [link(number + 1, FB, VK_1)])
    assert time.process_time() - start < 20
    assert len(graph.customers().assignments) == count // 2 + 2


def test_what_is_known_moves_nobody() -> None:
    graph = Graph(RULES)
    graph.take(frame(BOTH), [link(1, VK_1, FB)])
    assert graph.take(frame(BOTH), [link(1, VK_1, FB)]).moved.is_empty()
    assert graph.take(frame([mail(FB, at=9)])).moved.is_empty()
