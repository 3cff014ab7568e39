"""Lease: the owner of a topic's one partition leads, for a session at a time.

The group's coordinator gives the partition to nobody else before it has missed its owner's heartbeats for a session. So the
owner leads for a session from the moment it *sent* the last request that the coordinator confirmed, by a clock that nobody
sets. After that it neither writes nor notifies, whatever else answers, until the group confirms again that it leads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from pipeline.clock import steady
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.group import SESSION_S


class Lease(Fence):
    """Fed from the thread of the consumer group (kafka/group.py: Member); asked from any thread before a write or a message.

    A generation is the time in which this process leads without a break. Restart: a new lease, which does not lead.
    """

    def __init__(self, clock: Callable[[], float] = steady) -> None:
        super().__init__()
        self._clock = clock
        self._owns = False
        self._until = self._answered_at = float("-inf")
        self._lock = threading.Lock()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- the group reports --------------------------------------------------------------------------------------------
    def confirmed(self, sent_at: float, session_s: float = SESSION_S) -> None:
        """The coordinator confirmed the membership, in answer to a request sent at `sent_at` (by this lease's clock)."""
        with self._lock:
            if self._clock() >= self._until:
                self.generation += 1  # the lease ended unnoticed: work that began under it must not go on
            self._until = max(self._until, sent_at + session_s)
        self._wake()

    def answered(self) -> None:
        """The coordinator answered, be it with an error."""
        self._answered_at = self._clock()

    def assigned(self, ours: bool) -> None:
        """The group has assigned the partition: to this process (`ours`), or to another."""
        with self._lock:
            self.generation += 1
            self._owns = ours
        self._wake()

    def leaving(self) -> None:
        """From now on the group may give the partition to another process."""
        with self._lock:
            self.generation += 1
            self._owns, self._until = False, float("-inf")
        self._wake()

    # --- the leader asks ----------------------------------------------------------------------------------------------
    def now(self) -> float:
        """The time by this lease's clock, in seconds."""
        return self._clock()

    def unanswered_s(self) -> float:
        """Seconds since the group's coordinator answered last; infinite before its first answer."""
        return self._clock() - self._answered_at

    def leads(self, generation: int) -> bool:
        """Whether a process that began to lead in this generation still leads; also while it stops."""
        with self._lock:
            return generation == self.generation and self._left() > 0

    def check(self, generation: int) -> None:
        """Raises GivenUp when the generation is over, or the process stops."""
        if self._stopping or not self.leads(generation):
            raise GivenUp

    def pass_through(self, generation: int) -> None:
        """Returns at once when a write may start. Raises GivenUp as `check` does."""
        self.check(generation)

    def end_generation(self) -> None:
        """Another term is newer than ours: to go on leading, this process has to take a new one."""
        with self._lock:
            self.generation += 1
        self._wake()

    async def begun(self) -> int:
        """Waits until this process leads; returns the generation."""
        while True:
            self._changed.clear()
            with self._lock:
                generation, left = self.generation, self._left()
            if left > 0:
                return generation
            await self._change(None)

    async def ended(self, generation: int) -> None:
        """Waits until the generation is over: to the end of the lease at most."""
        while True:
            self._changed.clear()
            with self._lock:
                left = self._left() if generation == self.generation else 0.0
            if left <= 0:
                return
            await self._change(left)

    async def rest(self, generation: int, seconds: float) -> None:
        """Sleeps. Raises GivenUp as soon as the generation is over."""
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
