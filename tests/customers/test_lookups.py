"""Claimed handles: who bore one is found in the past and in what arrives; a second bearer takes the link back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.customers import lookups as lookups_
from pipeline.customers.lookups import OVERLAP, Lookups, spans
from pipeline.customers.state import State
from pipeline.errors import EarshotError
from pipeline.leader import Leader
from pipeline.sinks.customers import ARRIVED, CLAIMS, LATE, CustomerTables
from schemas.identity import account_key
from schemas.times import to_ms, utc_now
from tests.support.customers import House, evidence, no_hashes, row

ANN, OTHER = account_key("vk", "1"), account_key("fb", "2")
HANDLES = {"vk": "ann", "fb": "Ann.B"}


class Posts:
    """Rows of table interactions, as they land."""

    def __init__(self, house: House) -> None:
        self._house, self._number = house, 0

    def land(self, platform: str, author: str, handle: str, late: timedelta = timedelta(0)) -> None:
        """`late`: how long ago its worker had tried to insert it, or how far its clock is behind."""
        self._number += 1
        names = ["event_key", "version", "platform", "author_id", "author_handle", "created_at", "author_at", "ingested_at"]
        now = utc_now()
        values = (self._number, 1, platform, author, handle, now - timedelta(days=50), now - timedelta(days=50), now - late)
        self._house.client.insert("interactions", [values], column_names=names)


@pytest.fixture
def posts(emptied: Settings) -> Posts:
    return Posts(House(emptied))


@contextmanager
def looking(house: House) -> Iterator[tuple[State, Lookups]]:
    leader: Leader = house.leader()
    state = State(CustomerTables(leader.inserter), no_hashes)
    generation = leader.lease.generation
    state.start(house.term, generation)

    async def take(edges: pl.DataFrame) -> None:
        await leader.on_thread(lambda: state.take(edges, False))

    with leader.serving(generation):
        yield state, Lookups(leader, state, asker(house.client), take)


def claim(a: int, platform: str, to_platform: str, handle: str = "", by_id: str = "") -> pl.DataFrame:
    b = account_key(to_platform, by_id, handle)
    given = {"a_platform": platform, "b_platform": to_platform, "claimed": handle.lower(), "basis": "public", "rule": "url"}
    return evidence(row("profile", "handle", a, b, **given))


def test_time_is_read_in_pieces_of_as_many_rows_as_a_query_may() -> None:
    assert spans(pl.DataFrame({"month": [], "rows": []})) == []
    months = {"month": [202509, 202510, 202511, 202512, 202601], "rows": [30_000_000, 70_000_000, 1, 250_000_000, 5]}
    found = spans(pl.DataFrame(months))
    assert [(f"{span.since:%Y-%m-%d %H}", span.rows) for span in found] == [
        ("2025-09-01 00", 100_000_000),
        ("2025-11-01 00", 1),
        ("2025-12-01 00", 83_333_333),  # a query of the whole month would take too long, each time
        ("2025-12-11 08", 83_333_333),
        ("2025-12-21 16", 83_333_338),
    ]
    assert [span.until for span in found] == [*(span.since for span in found[1:]), datetime(2026, 2, 1, tzinfo=UTC)]


@pytest.fixture(params=[False, True])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as if there were many claims and rows: by parts of a month, without the index."""
    if request.param:
        monkeypatch.setattr(lookups_, "BY_INDEX", 0)
        monkeypatch.setattr(lookups_, "ROWS_A_QUERY", 1)


@pytest.mark.usefixtures("many")
async def test_a_bearer_of_the_past_and_a_second_one_that_arrives(posts: Posts) -> None:
    house = posts._house
    posts.land("vk", "1", "@Ann")
    posts.land("fb", "3", "somebody")
    with looking(house) as (state, lookups):
        state.take(claim(OTHER, "fb", "vk", "ann"), False)
        state.take(claim(ANN, "vk", "fb", "ann.b"), False)
        assert house.customers() == {} and house.queue() == []
        posts.land("fb", "2", "Ann.B")  # between the claim and its look-up
        await lookups.step(utc_now())
        assert house.customers() == {ANN: ANN, OTHER: ANN} or house.customers() == {ANN: OTHER, OTHER: OTHER}
        assert state.mark(CLAIMS) == state.written or state.mark(CLAIMS) > 0

        posts.land("fb", "4", "ANN.B")  # another account bears the handle, too
        lookups._arrived_at = float("-inf")
        await lookups.step(utc_now() + timedelta(seconds=1))
        assert house.customers() == {} and dict(house.queue())["ambiguous handle"] == 1

    with looking(house) as (state, lookups):  # another leader goes on from the marks
        arrived = state.mark(ARRIVED)
        assert arrived > (utc_now() - OVERLAP).timestamp() * 1000 - 60_000
        rows = house.rows("SELECT count() FROM identity_edges")
        await lookups.step(utc_now() + timedelta(seconds=2))
        assert house.rows("SELECT count() FROM identity_edges") == rows and state.mark(ARRIVED) > arrived


async def test_a_claim_by_id_waits_until_the_profile_is_known(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    house = posts._house
    with looking(house) as (state, lookups):
        state.take(claim(ANN, "vk", "fb", by_id="2"), False)
        await lookups.step(utc_now())
        assert house.queue() == []
        posts.land("fb", "2", "x")
        lookups._arrived_at = float("-inf")
        await lookups.step(utc_now() + timedelta(seconds=1))
        assert house.queue() == [("suggestion", 1)]
        state.take(claim(ANN, "vk", "fb", by_id="3"), False)
        posts.land("fb", "3", "y")
        await lookups.step(utc_now() + timedelta(seconds=1))
        assert house.queue() == [("suggestion", 2)], "known by account_events"
        claims = state.mark(CLAIMS)
        state.take(evidence(row("value", "email", ANN, 5)), False)
        monkeypatch.setattr(state, "query", None)
        await lookups.step(utc_now() + timedelta(seconds=2))
        assert state.mark(CLAIMS) == claims < state.written, "no claim has come: the edges are not read for it"


async def test_a_name_that_many_bear_is_little_evidence(posts: Posts) -> None:
    house = posts._house
    for author in range(10, 20):
        posts.land("vk", str(author), "Anonymous")
    with looking(house) as (state, lookups):
        state.take(claim(OTHER, "fb", "vk", "anonymous"), False)
        await lookups.step(utc_now())  # among all rows, and among those that have arrived: each finds the same two
        two = sorted(account_key("vk", str(author)) for author in range(10, 20))[:2]
        assert house.rows("SELECT a FROM identity_edges WHERE rule = 'bears' ORDER BY a") == [(a,) for a in two]
        assert house.queue() == [("ambiguous handle", 1)]


async def test_a_row_that_appears_late_is_found_later(posts: Posts) -> None:
    house, now = posts._house, utc_now()
    with looking(house) as (state, lookups):
        state.take(claim(ANN, "vk", "fb", by_id="2"), False)
        await lookups.step(now)
        posts.land("fb", "2", "x", late=timedelta(minutes=50))
        for minutes in range(0, 150, 30):
            lookups._arrived_at = float("-inf")
            await lookups.step(now + timedelta(minutes=minutes))
        assert house.queue() == [("suggestion", 1)]

        state.keep_mark(LATE, to_ms(now + timedelta(days=30)))  # by a leader whose clock was ahead
        lookups._arrived_at = float("-inf")
        await lookups.step(now + timedelta(minutes=150))
        assert state.mark(LATE) == to_ms(now + timedelta(minutes=30))


async def test_claims_that_can_not_be_looked_up_do_not_keep_what_arrives(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    house = posts._house
    with looking(house) as (state, lookups):
        state.take(claim(ANN, "vk", "fb", by_id="2"), False)
        await lookups.step(utc_now())
        posts.land("fb", "2", "x")
        state.take(claim(OTHER, "fb", "vk", "ann"), False)

        def fail(*_: object) -> pl.DataFrame:
            raise EarshotError("it takes too long")

        monkeypatch.setattr(lookups, "_bearers", fail)
        lookups._arrived_at = float("-inf")
        with pytest.raises(EarshotError, match="too long"):
            await lookups.step(utc_now() + timedelta(seconds=1))
        assert house.queue() == [("suggestion", 1)]
