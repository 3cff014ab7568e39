"""The fence: whether this worker may still write for the batches it read.

A batch belongs to the *generation* it was read in. When partitions are lost, or a revoke can't wait, the generation ends: its
batches are given up and never written. An insert runs on the server for at most 5 s. It starts only while the last poll is
younger than 3 s, and while the session, from the last request that the coordinator has answered, outlasts the insert: so a
successor never reads rows that an insert of this worker is about to change."""

from __future__ import annotations

import time

from pipeline.clock import Clock, steady

POLL_FRESH_S = 3.0
INSERT_MAX_S = 5.0
MARGIN_S = 0.5


class GivenUp(Exception):
    """The batch must not be written: it was given up."""


class Fence:
    """Shared by the poll thread, which moves it, and the agents, which ask it. Restart: a new one."""

    def __init__(self, clock: Clock = steady) -> None:
        self._clock = clock
        self.generation = 0
        self._polled = clock()
        self._confirmed_until = float("inf")
        self._stopping = False

    def polled(self) -> float:
        """A sign that the poll loop runs; returns the seconds since the last one."""
        now = self._clock()
        gap, self._polled = now - self._polled, now
        return gap

    def confirmed(self, sent_at: float, session_s: float) -> None:
        """The group's coordinator answered a request sent then (by the clock): this worker owns the partitions for a
        session."""
        self._confirmed_until = sent_at + max(session_s - INSERT_MAX_S - MARGIN_S, POLL_FRESH_S)

    def end_generation(self) -> None:
        """Batches read so far are never written."""
        self.generation += 1

    def stop(self) -> None:
        """No write may start any more."""
        self._stopping = True

    def check(self, generation: int) -> None:
        """Raises GivenUp when the generation is over."""
        if generation != self.generation or self._stopping:
            raise GivenUp

    def pass_through(self, generation: int) -> None:
        """Returns when a write may start: at once, or when poll loop and coordinator answer again. Raises GivenUp."""
        self.check(generation)
        while (now := self._clock()) - self._polled > POLL_FRESH_S or now > self._confirmed_until:
            time.sleep(0.02)
            self.check(generation)


class OpenFence(Fence):
    """Of a process that shares its work with nobody."""

    def pass_through(self, generation: int) -> None:
        """A write may always start."""
        self.check(generation)
