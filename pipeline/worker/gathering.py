"""Gathering: how long a landing waits for more batches, so that they become one insert.

ClickHouse merges each part several times, and a large insert is merged less often than the small ones in its place. While the
worker is behind, an event waits anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.batch import EventBatch
from pipeline.sinks.landing import TOGETHER_BYTES, frame_bytes
from pipeline.worker.in_flight import InFlightLimit

ENOUGH_ROWS = 40_000
"""Three full batches, of which a fifth may be duplicates. Each more is 25 MB or so for the worker, and work for dedup."""
WAIT_S = 0.3
LOOK_S = 0.01


class Gathering:
    """Decides for the landing agent. Batches wait only while the last of them is `behind`, for WAIT_S at most, never for one
    that can't come, and not while partitions are revoked or the worker stops."""

    def __init__(self, in_flight: InFlightLimit, clock: Callable[[], float]) -> None:
        self._in_flight, self._clock = in_flight, clock
        self._until = 0.0

    def begin(self) -> None:
        """The first batch has arrived."""
        self._until = self._clock() + WAIT_S

    def goes_on(self, batches: Sequence[EventBatch]) -> bool:
        """Whether these batches wait for more."""
        return (
            bool(batches)
            and batches[-1].behind
            and self._clock() < self._until
            and self._in_flight.more_to_come(len(batches))
            and sum(batch.events.height for batch in batches) < ENOUGH_ROWS
            and sum(map(frame_bytes, batches)) < TOGETHER_BYTES
        )
