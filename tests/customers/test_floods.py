"""What is a flood for the breaker, and what is everyday."""

from __future__ import annotations

from pipeline.customers.breaker import LIMIT, Breaker
from pipeline.identity.graph import Graph
from pipeline.identity.rules_file import RulesFile
from tests.support.customers import emails, evidence, no_hashes, row


def test_a_page_that_thousands_show_in_their_bios_is_no_flood() -> None:
    """Their claims are over the limit, and ambiguous once a second account bears the handle: they never linked anybody."""
    fan, star, other = 1_000, 7, 8
    given = {"b_platform": "youtube", "claimed": "star", "basis": "public", "rule": "bio"}
    claims = [row("profile", "handle", fan + n, 99, **given) for n in range(LIMIT + 1)]
    bears = [row("value", "handle", each, 99, a_platform="youtube", rule="bears", basis="public") for each in (star, other)]
    graph, breaker = Graph(RulesFile().compiled(0, no_hashes)), Breaker(lambda: 0.0)
    for piece in evidence(*claims), evidence(bears[0]), evidence(bears[1]):
        change = graph.take(piece)
        assert not breaker.count(change, graph.claims)
    assert change.refusals.height == len(claims), "all of them changed their reason"
    mails = graph.take(emails(*((each, 5) for each in range(1_000_000, 1_000_000 + LIMIT + 1))))
    assert breaker.count(mails, graph.claims), "one address is a flood"
