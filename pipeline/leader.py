"""Leader: one leader a topic. The owner of its one partition leads, by a lease, and in a term.

- **Lease**: nobody else is given the partition until the group's coordinator has not heard of its owner for a session. So the
  owner leads for a session from when it *sent* the last request that the coordinator answered with yes, by a clock that nobody
  sets; then it neither writes nor notifies, whatever else answers, until the group says again that it leads.
- **Term**: a number in table `leaders`, taken when leading begins. A write names its term, and ClickHouse refuses it once there
  is a newer one (pipeline/clickhouse/fenced_inserter.py): also a write that was on its way for longer than the lease.
- **Take-over**: take a term; wait for as long as a write of the term before may run, unless that one was handed over; only then
  read. So what was read is all that earlier terms have written, and versions never meet.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clock import steady
from pipeline.fence import INSERT_MAX_S, Fence, GivenUp

SESSION_S = 6.0
"""The least that Kafka allows by default."""
OTHERS_WRITE_S = INSERT_MAX_S + 0.5
"""For how long after a new term a write of an older one may still run on the server."""


class Leader(Fence):
    """What the group says comes from its thread (pipeline/kafka/group.py); whoever writes or notifies asks, from any thread.

    A generation is the time in which this process leads without a break. Restart: a new one, which does not lead.
    """

    def __init__(self, clock: Callable[[], float] = steady) -> None:
        super().__init__()
        self._clock = clock
        self._owns = False
        self._until = self._answered_at = float("-inf")
        self._lock = threading.Lock()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- what the group says ------------------------------------------------------------------------------------------
    def confirmed(self, sent_at: float, session_s: float = SESSION_S) -> None:
        """The coordinator said yes, this is a member, to what was sent at `sent_at` (by this leader's clock)."""
        with self._lock:
            if self._clock() >= self._until:
                self.generation += 1  # nobody noticed that the lease was over; what began under it must not go on
            self._until = max(self._until, sent_at + session_s)
        self._wake()

    def answered(self) -> None:
        """The coordinator answered, whatever it said."""
        self._answered_at = self._clock()

    def assigned(self, ours: bool) -> None:
        with self._lock:
            self.generation += 1
            self._owns = ours
        self._wake()

    def leaving(self) -> None:
        """From now on the partition may be given to another."""
        with self._lock:
            self.generation += 1
            self._owns, self._until = False, float("-inf")
        self._wake()

    # --- what others ask ----------------------------------------------------------------------------------------------
    def now(self) -> float:
        return self._clock()

    def unanswered_s(self) -> float:
        """For how long the group's coordinator has not answered."""
        return self._clock() - self._answered_at

    def leads(self, generation: int) -> bool:
        """Whether who began to lead in this generation still does."""
        with self._lock:
            return generation == self.generation and self._left() > 0

    def check(self, generation: int) -> None:
        """Raises GivenUp when that generation is over, or the process stops."""
        if self._stopping or not self.leads(generation):
            raise GivenUp

    def pass_through(self, generation: int) -> None:
        """Returns when a write may start: at once. Raises GivenUp."""
        self.check(generation)

    def end_generation(self) -> None:
        """Another term is newer than ours: to go on leading, begin anew."""
        with self._lock:
            self.generation += 1
        self._wake()

    async def begun(self) -> int:
        """Returns when this process leads, with the generation."""
        while True:
            self._changed.clear()
            with self._lock:
                generation, left = self.generation, self._left()
            if left > 0:
                return generation
            await self._change(None)

    async def ended(self, generation: int) -> None:
        """Returns when the generation is over: at the end of the lease at the latest."""
        while True:
            self._changed.clear()
            with self._lock:
                left = self._left() if generation == self.generation else 0.0
            if left <= 0:
                return
            await self._change(left)

    async def rest(self, generation: int, seconds: float) -> None:
        """Waits that long. Raises GivenUp as soon as the generation is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended(generation), seconds)
        self.check(generation)

    def _left(self) -> float:
        return self._until - self._clock() if self._owns else 0.0

    async def _change(self, timeout_s: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the process ends, and its loop is closed
                self._loop.call_soon_threadsafe(self._changed.set)


class Term(NamedTuple):
    number: int
    alone: bool
    """No write of an earlier term can be running any more."""


class Terms:
    """The terms of one leader's office, in table `leaders`. Blocks while ClickHouse is away."""

    def __init__(self, client: Client, inserter: Inserter, name: str) -> None:
        self._client, self._inserter, self._name = client, inserter, name
        self._holder = secrets.randbits(64)

    def take(self, check: Callable[[], None]) -> Term:
        """A number above all, that nobody else has. Raises GivenUp as `check` does, when this process leads no more."""
        while True:
            last = self._inserter.query(
                f"SELECT term, holder, max(released) AS released FROM leaders WHERE name = '{self._name}' "
                f"AND term = ({newest_sql(self._name)}) GROUP BY term, holder"
            )
            number = 1 if last.is_empty() else last["term"][0] + 1
            check()
            self._inserter.retry("insert into leaders", partial(self._write, number, released=False))
            holders = self._inserter.query(
                f"SELECT DISTINCT holder FROM leaders WHERE name = '{self._name}' AND term >= {number}"
            )
            if holders["holder"].to_list() == [self._holder]:
                return Term(number, bool(last["released"].all()))

    def release(self, number: int) -> None:
        """Says that no write of this term runs, or ever will. Raises ClickHouseError or OSError."""
        self._write(number, released=True)

    def _write(self, number: int, *, released: bool) -> None:
        row = (self._name, number, self._holder, released, datetime.now(UTC))
        names = ("name", "term", "holder", "released", "changed_at")
        self._client.insert("leaders", [row], column_names=names)


def newest_sql(name: str) -> str:
    """The newest term; 0: there is none yet."""
    return f"SELECT max(term) FROM leaders WHERE name = '{name}'"
