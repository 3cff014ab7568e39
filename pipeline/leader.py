"""Leader: one leader a topic. The owner of its one partition leads, by a lease, and in a term.

- **Lease**: nobody else is given the partition until the group's coordinator has not heard of its owner for a session. So the
  owner leads for a session from when it *sent* the last request that the coordinator answered with yes, by a clock that nobody
  sets; then it neither writes nor notifies, whatever else answers, until the group says again that it leads.
- **Term**: a number in table `leaders`, taken when leading begins. A write names its term, and ClickHouse refuses it once there
  is a newer one (clickhouse/fenced_inserter.py): also a write that was on its way for longer than the lease.
- **Take-over**: take a term; wait for as long as a write of the term before may run, unless that one was handed over; only then
  read. So what was read is all that earlier terms have written, and versions never meet.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.terms import OTHERS_WRITE_S, Terms
from pipeline.clock import steady
from pipeline.errors import reason
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.group import SESSION_S
from pipeline.monitoring.health import Vitals

RELEASE_S = 2.0
log = logging.getLogger("earshot.leader")


class Leader(Fence):
    """What the group says comes from its thread (kafka/group.py); whoever writes or notifies asks, from any thread.

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


class Office:
    """`name` is that of its terms, `working` the one that `vitals` knows its work by; the term is taken on `thread`, where all
    that writes by `inserter` has to run, too."""

    def __init__(self, leader: Leader, client: Client, vitals: Vitals, name: str, working: str, thread: Executor) -> None:
        self._leader, self._vitals, self._name, self._thread = leader, vitals, name, thread
        self._terms = Terms(client, Inserter(client, leader, vitals, working), name)
        self.inserter = FencedInserter(client, leader, vitals, working)
        self._task: asyncio.Task[None] | None = None

    async def hold(self, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Does `work(generation)` whenever this process leads, and cancels it at the end of the lease. Raises what `work` does,
        but for GivenUp."""
        while True:
            generation = await self._leader.begun()
            lead = self._task = asyncio.create_task(self._lead(generation, work))
            ended = asyncio.create_task(self._leader.ended(generation))
            try:
                await asyncio.wait((lead, ended), return_when=asyncio.FIRST_COMPLETED)
                self._vitals.hold("partitions", "not in charge any more: no heartbeat was answered, or the group changes")
            finally:
                ended.cancel()
                lead.cancel()
                await asyncio.wait((lead, ended))
            if not lead.cancelled() and (error := lead.exception()) is not None and not isinstance(error, GivenUp):
                raise error
            log.info("not in charge any more")

    async def handed_over(self, timeout_s: float) -> None:
        """Returns when nothing of what was led is under way any more, or after `timeout_s`."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=timeout_s)

    async def _lead(self, generation: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        self._vitals.hold("partitions", "it is to be in charge, and takes its term")
        take = partial(self._terms.take, partial(self._leader.check, generation))
        term = await asyncio.get_running_loop().run_in_executor(self._thread, take)
        self.inserter.begin(self._name, term.number)
        if not term.alone:
            self._vitals.hold("partitions", "what the one before may still be writing is waited for")
            await self._leader.rest(generation, OTHERS_WRITE_S)
        try:
            await work(generation)
        finally:
            await self._release(term.number)

    async def _release(self, term: int) -> None:
        """Hands over, so that the next one need not wait; not while a write may still run."""
        if self.inserter.unsettled:
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self._terms.release, term), RELEASE_S)
        except (ClickHouseError, OSError, TimeoutError) as error:
            log.warning("the next one in charge will wait for %.0f s: %s", OTHERS_WRITE_S, reason(error))
