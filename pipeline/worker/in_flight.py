"""The limit of batches on their way: between their reading and their landing."""

from __future__ import annotations

import threading

from pipeline.batch import EventBatch
from pipeline.monitoring import metrics

BATCHES_IN_FLIGHT = 8
FEW = 4
BYTES_IN_FLIGHT = 128 << 20


class InFlightLimit:
    """Counts the batches on their way: `batches` at most, but only FEW of them where their records have more than `most_bytes`.

    The poll thread takes, the agents give back.
    """

    def __init__(self, batches: int = BATCHES_IN_FLIGHT, most_bytes: int = BYTES_IN_FLIGHT) -> None:
        self._most, self._most_bytes = batches, most_bytes
        self._few = min(FEW, batches)
        self._batches = self._bytes = 0
        self._emptying = False
        self._changed = threading.Condition()

    def wait(self, timeout_s: float) -> bool:
        """Whether there is room for a batch, at the latest after `timeout_s`. Only the poll thread takes it, so it stays."""
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout_s)

    def take(self, batch: EventBatch) -> None:
        """One batch more is on its way."""
        with self._changed:
            self._batches += 1
            self._bytes += batch.bytes
        metrics.IN_FLIGHT.inc()

    def give_back(self, batch: EventBatch) -> None:
        """The batch has landed, or is given up."""
        with self._changed:
            self._batches -= 1
            self._bytes -= batch.bytes
            self._changed.notify_all()
        metrics.IN_FLIGHT.dec()

    def wait_empty(self, timeout_s: float) -> bool:
        """Whether no batch is on its way, at the latest after `timeout_s`. Until then `more_to_come` is false."""
        with self._changed:
            self._emptying = True
            try:
                return self._changed.wait_for(lambda: not self._batches, timeout_s)
            finally:
                self._emptying = False

    def more_to_come(self, arrived: int) -> bool:
        """Whether others may follow these batches, and nobody waits for their end."""
        with self._changed:
            return not self._emptying and (self._batches > arrived or self._has_room())

    def _has_room(self) -> bool:
        return self._batches < self._few or (self._batches < self._most and self._bytes < self._most_bytes)
