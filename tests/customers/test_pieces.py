"""Pieces of evidence, and the breaker that counts after each; what is read while the partition goes to another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import polars as pl

from pipeline.customers.breaker import LIMIT, WINDOW_S, Breaker
from pipeline.customers.intake import IMPORTED_PIECE, PIECE, WAITING, Intake, Piece, pieces
from pipeline.identity.change import MOVED_COLUMNS, REFUSED_COLUMNS, Change
from pipeline.monitoring.health import Vitals
from schemas.evidence import EVIDENCE_COLUMNS, dump
from tests.support.customers import emails


def of(edges: int, imported: bool = False) -> Piece:
    return Piece(pl.concat([emails((1, 9))] * edges), imported)


def test_records_are_joined_and_cut_in_their_order() -> None:
    records = [of(600), of(300), of(200), of(7, True), of(IMPORTED_PIECE, True), of(1)]
    found = [(piece.edges.height, piece.imported) for piece in pieces(iter(records))]
    assert found == [(PIECE, False), (100, False), (IMPORTED_PIECE, True), (7, True), (1, False)]
    assert list(pieces(iter([]))) == [] and list(pieces(iter([Piece(pl.DataFrame(schema=EVIDENCE_COLUMNS), False)]))) == []


def change(moved: int = 0, refused: int = 0, reason: str = "over limit") -> Change:
    profiles = pl.DataFrame({"profile": range(moved), "before": 1_000_000, "after": 2_000_000}, schema=MOVED_COLUMNS)
    refusals = pl.DataFrame({"edge": range(refused), "before": None, "after": reason}, schema=REFUSED_COLUMNS)
    return Change(profiles, refusals, pl.DataFrame(schema=EVIDENCE_COLUMNS))


def none(edges: pl.Series) -> pl.Series:
    return edges.clear()


def test_the_breaker_counts_moves_and_refusals_of_a_minute() -> None:
    now = 0.0
    breaker = Breaker(lambda: now)
    assert not breaker.count(change(LIMIT // 2, LIMIT // 2), none)
    assert not breaker.count(change(refused=10 * LIMIT, reason="suggestion"), none), "everyday"
    now = WINDOW_S
    assert not breaker.count(change(LIMIT), none)
    now = WINDOW_S + 1
    assert breaker.count(change(refused=1, reason="two CRM records"), none)


class Stream:
    """Faust's stream of topic identity: more events than may wait."""

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[int]:
        for number in range(WAITING + 2):
            yield number


def test_an_event_that_waited_for_room_when_the_partition_went_is_not_taken() -> None:
    """It is read again. Acknowledged before those in front of it, it would commit over them."""

    async def read() -> list[Any]:
        intake: Any = Intake(None, None, None)  # type: ignore[arg-type]
        reading = asyncio.create_task(intake.read(Stream()))
        while not intake._events:
            await asyncio.sleep(0)
        intake.clear()
        await reading
        return list(intake._events)

    assert asyncio.run(read()) == [WAITING + 1]


class Event:
    """Of Faust: a record with one edge."""

    def __init__(self, number: int) -> None:
        (self.value,) = dump(emails((number, 9)))
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class Leads:
    """A leader whose thread answers at once."""

    def check(self) -> None:
        """It leads."""

    async def on_thread(self, work: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        return work()


class Takes:
    """A state that notes how many edges it takes."""

    def __init__(self) -> None:
        self.edges: list[int] = []

    def take(self, edges: pl.DataFrame, imported: bool) -> None:
        self.edges.append(edges.height)


def test_what_comes_bit_by_bit_is_taken_together() -> None:
    """Ten workers that send ten times a second made forty inserts a second, and the leader's thread had no rest."""

    async def run() -> list[int]:
        state, events = Takes(), [Event(number) for number in range(1, 51)]
        intake: Any = Intake(Leads(), state, Vitals())  # type: ignore[arg-type]
        running = asyncio.create_task(intake.run())
        for event in events:
            intake._events.append(event)
            intake._arrived.set()
            for _ in range(10):
                await asyncio.sleep(0)
        while not all(event.acked for event in events):
            await asyncio.sleep(0.01)
        running.cancel()
        return state.edges

    taken = asyncio.run(run())
    assert sum(taken) == 50 and len(taken) < 10
