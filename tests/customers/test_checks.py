"""Which commands are refused, and why: each as the graph stands."""

from __future__ import annotations

import pytest

from pipeline.customers.checks import named_by, refusal
from pipeline.identity.graph import Graph
from schemas.identity import Command
from schemas.untyped import JsonObject
from tests.identity.histories import PROFILES, RULES, edge, frame, key, platform_of

CRM_1, X, VK, FB, VK_2, CRM_2, SHOP = 9, 1, 2, 3, 4, 5, 6
NOBODY = 77


def mail(profile: int, value: int = 1, **given: object) -> JsonObject:
    return edge("value", "email", profile, value, **given)


def phone(profile: int, value: int = 2) -> JsonObject:
    return edge("value", "phone", profile, value)


def link(a: int, b: int, confirmed: bool = False, sequence: int = 1) -> Command:
    return Command(sequence, "link", a, b, 0, "", platform_of(a), platform_of(b), confirmed, "ines")


def why(asked: Command, *edges: JsonObject, after: tuple[Command, ...] = (), holds: bool = False) -> str:
    graph = Graph(RULES)
    graph.take(frame(edges), after)
    state = graph.customers()
    given = Command(90, *(getattr(asked, name) for name in Command.__slots__[1:]))
    said = refusal(graph, given, PROFILES, holds)
    assert graph.commands == {each.sequence: each for each in after}  # nothing is done by asking
    assert graph.customers().assignments.equals(state.assignments) and graph.customers().refusals.equals(state.refusals)
    return said


@pytest.mark.parametrize(
    ("asked", "edges", "after", "says"),
    [
        (link(X, X), (), (), "names one profile twice"),
        (Command(0, "never", X, X), (), (), "names one profile twice"),
        (link(X, NOBODY), (), (), "profile 000000000000004d is unknown"),
        (Command(0, "never", NOBODY, X), (), (), "profile 000000000000004d is unknown"),
        (Command(0, "consent", NOBODY), (), (), "is unknown"),
        (Command(0, "split", NOBODY, X), (), (), "is unknown"),
        (link(X, FB), (), (link(FB, X),), "command 1 by ines links them already"),
        (link(CRM_1, CRM_2), (), (), r"two records of a CRM would be one customer: confirm it (--confirm) if"),
        (link(X, FB), (mail(X), mail(CRM_1), mail(FB, 3), mail(CRM_2, 3)), (), "link the two records themselves"),
        (link(X, FB), (), (Command(1, "never", FB, X),), "command 1 keeps them apart: lift it first"),
        (link(X, FB), (mail(X), mail(SHOP)), (Command(1, "never", FB, SHOP),), "command 1 keeps them apart"),
        (link(X, FB), (mail(X), mail(FB)), (Command(1, "withdraw", X),), "it would link nobody: withdrawn"),
        (link(X, CRM_1), (mail(X), mail(VK), mail(SHOP), mail(FB, 3), mail(CRM_1, 3)), (), "more than 4 profiles"),
        (Command(0, "unlink", X, FB), (mail(X), mail(FB)), (), "no link by hand of them stands"),
        (Command(0, "never", X, FB), (), (Command(1, "never", FB, X),), "command 1 keeps them apart already"),
        (Command(0, "never", X, FB), (), (link(FB, X),), "command 1 by ines links them by hand: unlink them first"),
        (Command(0, "never", X, FB), (), (link(FB, VK), link(VK, X, sequence=2)), "links by hand join them through others"),
        (Command(0, "lift", X, FB), (), (link(FB, X),), "no never and no split of them stands: `earshot identity show A`"),
        (Command(0, "split", X, FB), (mail(X), mail(SHOP)), (), "profile 0000000000000001 is not in customer 0000000000000003"),
        (Command(0, "split", X, X), (), (), "is its whole customer"),
        (Command(0, "accept", 5), (), (), "there is no edge 0000000000000005"),
        (Command(0, "reject", 5), (), (), "there is no edge 0000000000000005"),
        (Command(0, "reject", key(mail(X))), (mail(X),), (Command(1, "reject", key(mail(X))),), "is rejected already"),
        (Command(0, "accept", key(mail(X, 4))), (mail(X, 4), mail(FB, 4)), (), "it would link nobody: blocked"),
        (Command(0, "accept", key(phone(CRM_1))), (mail(CRM_1), phone(CRM_1), phone(CRM_2)),
         (Command(1, "accept", key(phone(CRM_2))),), "two records of a CRM would be one customer"),
        (Command(0, "release"), (mail(X, held=1), mail(FB)), (Command(1, "release"),), "nothing is held back"),
    ],
)  # fmt: skip
def test_these_are_refused(asked: Command, edges: tuple[JsonObject, ...], after: tuple[Command, ...], says: str) -> None:
    assert says in why(asked, *edges, after=after)


@pytest.mark.parametrize(
    ("asked", "edges", "after"),
    [
        (link(X, FB), (), ()),
        (link(X, FB), (mail(X), mail(FB)), ()),
        (link(CRM_1, CRM_2, confirmed=True), (mail(X), mail(CRM_1)), ()),
        (Command(0, "unlink", X, FB), (), (link(FB, X),)),
        (Command(0, "unlink", X, NOBODY), (), (Command(1, "link", X, NOBODY),)),
        (Command(0, "never", X, FB), (mail(X), mail(FB)), ()),
        (Command(0, "lift", FB, X), (), (Command(1, "never", X, FB),)),
        (Command(0, "lift", X, X), (mail(X), mail(FB)), (Command(1, "split", X, X),)),
        (Command(0, "split", X, X), (mail(X, at=1), mail(FB, at=2)), ()),
        (Command(0, "consent", X), (), ()),
        (Command(0, "withdraw", X, type="email"), (), ()),
        (Command(0, "accept", key(phone(X))), (phone(X), phone(FB)), ()),
        (Command(0, "accept", key(mail(X))), (mail(X, held=1), mail(FB)), ()),
        (Command(0, "reject", key(mail(X))), (mail(X), mail(FB)), (Command(1, "accept", key(mail(X))),)),
        (Command(0, "release"), (mail(X, held=1), mail(FB)), ()),
    ],
)
def test_these_are_done(asked: Command, edges: tuple[JsonObject, ...], after: tuple[Command, ...]) -> None:
    assert why(asked, *edges, after=after) == ""


def test_the_breaker_is_released_whatever_it_holds() -> None:
    assert why(Command(0, "release"), holds=True) == ""


def test_profiles_are_looked_up_where_a_command_brings_them_in() -> None:
    assert named_by(link(X, FB)) == {X, FB} and named_by(Command(0, "split", X, FB)) == {X}
    assert named_by(Command(0, "unlink", X, FB)) == named_by(Command(0, "accept", 5)) == set()
