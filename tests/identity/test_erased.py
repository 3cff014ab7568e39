"""Profiles that are erased: others are as if they had never been, and nobody begins to be linked by what they had."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from pipeline.identity.graph import Graph
from schemas.identity import EDGE_COLUMNS, ERASED, Command, Rules, TypeRule
from tests.identity.histories import HANDLES, RULES, Piece, edge, equal, frame, histories, parts, take


def shadow(edges: list[int]) -> list[int]:
    return [xxh3_64_intdigest(b"%d" % each) for each in edges]


def erase(graph: Graph, *profiles: int) -> pl.DataFrame:
    """Returns the rows that stay in their place."""
    first = max(graph.commands, default=0) + 1
    done = graph.erase([Command(first + n, "erase", profile) for n, profile in enumerate(profiles)], shadow)
    return done.kept


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None, phases=[Phase.generate])
@given(histories(), st.randoms(use_true_random=False))
def test_the_customers_are_those_of_what_is_left(history: list[Piece], chance: random.Random) -> None:
    """As the tables have it for the next leader: the other rows, those in the place of what was erased, and all commands."""
    profiles, graph, of = chance.sample(range(1, 10), 2), Graph(RULES), parts(history)
    take(graph, history)
    kept = erase(graph, *profiles)
    found = graph.customers()
    to_profile = pl.col("kind") == "profile"
    left = frame(of.rows).filter(~pl.col("a").is_in(profiles) & ~(to_profile & pl.col("b").is_in(profiles)))
    rows = kept.with_columns(pl.lit("erased").alias("rule"), pl.lit(0).alias("rule_version"), pl.lit(0).alias("event"))
    again = Graph(RULES)
    again.take(pl.concat([left.select(list(EDGE_COLUMNS)), rows.select(pl.col(n).cast(t) for n, t in EDGE_COLUMNS.items())]),
               graph.commands.values(), of.own)  # fmt: skip
    assert equal(found, again.customers()) and equal(graph.under(RULES).customers(), found)
    assert not set(found.assignments.get_column("profile")) & {*profiles, *kept.get_column("a")}
    assert not set(found.refusals.get_column("edge")) & set(kept.get_column("edge"))
    assert graph.knows(profiles) == []
    assert erase(graph, *profiles).is_empty() and equal(graph.customers(), found), "it may be done again"


EMAIL = Rules(1, {"email": TypeRule(1, limit=3, platform_limit=3), "handle": TypeRule(2)})


def known(rules: Rules, *rows: dict[str, object]) -> Graph:
    graph = Graph(rules)
    graph.take(frame(list(rows)))
    return graph


@pytest.mark.parametrize("gone", [[1], [1, 2, 3]])
def test_an_address_that_too_many_shared_links_nobody_afterwards_either(gone: list[int]) -> None:
    graph = known(EMAIL, *(edge("value", "email", profile, 3) for profile in (1, 2, 3, 4, 5)))
    assert graph.customers().assignments.is_empty()
    kept = erase(graph, *gone)
    assert graph.customers().assignments.is_empty() and kept.height == len(gone)
    assert set(kept.get_column("held")) == {ERASED} and set(kept.get_column("at")) == {0}
    assert not graph.holds(), "the breaker holds nothing"
    graph.take(frame([edge("value", "email", profile, 2) for profile in (4, 5)]))
    assert dict(graph.customers().assignments.iter_rows()) == {4: 4, 5: 4}


def test_others_whom_only_the_erased_one_joined_part() -> None:
    graph = known(EMAIL, edge("value", "email", 1, 1), edge("value", "email", 2, 1), edge("value", "email", 2, 2),
                  edge("value", "email", 3, 2), edge("value", "email", 4, 2))  # fmt: skip
    assert set(graph.customers().assignments.get_column("customer")) == {1}
    erase(graph, 2)
    assert graph.customers().assignments.get_column("profile").to_list() == [3, 4]


def test_a_handle_that_two_bore_is_nobodys_when_one_of_them_is_erased() -> None:
    handle = HANDLES[0]
    bear = [edge("value", "handle", profile, handle) for profile in (1, 2)]
    graph = known(EMAIL, *bear, edge("profile", "handle", 3, handle))
    assert graph.customers().refusals.get_column("reason").to_list() == ["ambiguous handle"]
    erase(graph, 1)
    assert graph.customers().refusals.get_column("reason").to_list() == ["ambiguous handle"]
