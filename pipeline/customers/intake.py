"""Intake: the loop that passes evidence to the state, in pieces, and commits its records after that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from pipeline.clock import Seldom
from pipeline.customers.state import State
from pipeline.identity.change import Change
from pipeline.leader import Leader
from pipeline.monitoring import identity_metrics as metrics
from pipeline.monitoring.health import Vitals
from schemas.evidence import parse

TAKING = "taking evidence"
PIECE, IMPORTED_PIECE = 1_000, 100_000
"""Edges of a piece at most: the breaker counts after each. No breaker holds back what is imported."""
WAITING = 100
"""Records that wait at most: some 20 MB; more stay in Kafka."""
GATHER_S = 0.2
"""So long records gather after a take that left room for more: each take is up to four inserts, whatever it holds."""
log = logging.getLogger("earshot.customers")


class Piece(NamedTuple):
    """Evidence that the state takes at once."""

    edges: pl.DataFrame
    """EVIDENCE_COLUMNS."""
    imported: bool


class Intake:
    """Records come in by `read`, as they arrive; `run` passes them on.

    A record is committed after all that follows from it is in ClickHouse. Restart: the next leader reads the others again,
    which changes nothing twice. A record that can't be read is counted and skipped.
    """

    def __init__(self, leader: Leader, state: State, vitals: Vitals) -> None:
        self._leader, self._state, self._vitals = leader, state, vitals
        self._events: list[Any] = []
        """Faust's events that wait."""
        self._cleared = 0
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._complaint = Seldom()

    async def read(self, stream: Any) -> None:
        """The Faust agent of topic identity."""
        async for event in stream.noack().events():
            cleared = self._cleared
            while len(self._events) >= WAITING:
                self._room.clear()
                await self._room.wait()
            if cleared != self._cleared:
                continue  # it comes again, behind others: acknowledged before them it would commit over them
            self._events.append(event)
            self._arrived.set()

    def waiting(self) -> tuple[int, float] | None:
        """The offset of the oldest record that waits, and Kafka's time of it, in seconds since 1970; None: none waits."""
        if not self._events:
            return None
        message = self._events[0].message
        return message.offset, message.timestamp

    async def take_all(self, edges: pl.DataFrame) -> None:
        """Passes automatic evidence, EVIDENCE_COLUMNS, to the state. Raises GivenUp."""
        for piece in pieces(iter([Piece(edges, False)])):
            await self.take(piece)

    def clear(self) -> None:
        """The partition is another process's: it reads uncommitted records again."""
        self._events.clear()
        self._cleared += 1
        self._room.set()

    async def run(self) -> None:
        """Takes evidence for as long as this process leads. Raises GivenUp."""
        try:
            while True:
                self._arrived.clear()
                if events := list(self._events):
                    await self._take(events)
                    if len(events) < WAITING:
                        self._vitals.idle(TAKING)
                        await asyncio.sleep(GATHER_S)
                else:
                    self._vitals.idle(TAKING)
                    await self._arrived.wait()
        finally:
            self._vitals.idle(TAKING)

    async def _take(self, events: Sequence[Any]) -> None:
        self._vitals.busy(TAKING)
        for piece in await self._leader.on_thread(lambda: list(self._pieces(events))):
            await self.take(piece)
        self._leader.check()
        for event in events:
            event.ack()
        del self._events[: len(events)]
        self._room.set()

    async def take(self, piece: Piece) -> Change:
        """Passes a piece to the state. Raises GivenUp."""
        self._leader.check()
        self._vitals.busy(TAKING)
        with metrics.TAKE_SECONDS.time():
            return await self._leader.on_thread(partial(self._state.take, *piece))

    def _pieces(self, events: Sequence[Any]) -> Iterator[Piece]:
        return pieces(piece for event in events if (piece := self._parsed(event)) is not None)

    def _parsed(self, event: Any) -> Piece | None:
        try:
            return Piece(*parse(event.value))
        except ValueError as error:
            metrics.UNREADABLE.inc()
            if self._complaint.due():
                log.error("topic %s, offset %d is skipped: %s", event.message.topic, event.message.offset, error)
            return None


def pieces(records: Iterator[Piece]) -> Iterator[Piece]:
    """Records in their order, joined as far as a piece may hold, and cut where one holds more."""
    for imported, of_kind in groupby(records, key=lambda piece: piece.imported):
        edges = pl.concat([piece.edges for piece in of_kind])
        most = IMPORTED_PIECE if imported else PIECE
        for start in range(0, edges.height, most):
            yield Piece(edges[start : start + most], imported)
