"""Gathering: how long a landing waits for more batches, so that they become one insert.

ClickHouse merges each part several times, and a large insert is merged less often than the small ones in its place. While the
worker is behind, an event waits anyway. Where few events come, what a landing costs hardly depends on its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.batch import EventBatch
from pipeline.sinks.landing import TOGETHER_BYTES, frame_bytes
from pipeline.worker.in_flight import InFlightLimit

ENOUGH_ROWS = 50_000
"""Four full batches, of which a fifth may be duplicates. Each more is 20 MB or so for the worker."""
WAIT_S = 0.3
FEW_ROWS = 100
APART_S = 0.5
"""Between the starts of landings of few rows: an event is to be seen after a second, a window's alert after two."""
LOOK_S = 0.02


class Gathering:
    """Decides for the landing agent. Batches wait while the last of them is `behind`, for WAIT_S at most. Others wait until
    APART_S after the landing before, while they have few rows and no alert candidate: after a pause they land at once.

    They never wait for one that can't come, and not while partitions are revoked or the worker stops.
    """

    def __init__(self, in_flight: InFlightLimit, clock: Callable[[], float]) -> None:
        self._in_flight, self._clock = in_flight, clock
        self._until = 0.0
        self._few_until = 0.0

    def begin(self) -> None:
        """The first batch has arrived."""
        self._until = self._clock() + WAIT_S

    def goes_on(self, batches: Sequence[EventBatch]) -> bool:
        """Whether these batches wait for more; if not, they land."""
        if not batches:
            return False
        if self._in_flight.more_to_come(len(batches)) and self._may_wait(batches):
            return True
        self._few_until = self._clock() + APART_S
        return False

    def _may_wait(self, batches: Sequence[EventBatch]) -> bool:
        rows = sum(batch.events.height for batch in batches)
        if not batches[-1].behind:
            few = rows < FEW_ROWS and not any(batch.candidates for batch in batches)
            return few and self._clock() < self._few_until
        return self._clock() < self._until and rows < ENOUGH_ROWS and sum(map(frame_bytes, batches)) < TOGETHER_BYTES
