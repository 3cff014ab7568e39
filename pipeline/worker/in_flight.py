"""The limit of batches on their way: between their reading and their landing."""

from __future__ import annotations

import threading

from pipeline.monitoring import metrics

BATCHES_IN_FLIGHT = 4


class InFlightLimit:
    """Counts the batches on their way. The poll thread takes, the agents give back."""

    def __init__(self, batches: int = BATCHES_IN_FLIGHT) -> None:
        self._free = self._size = batches
        self._changed = threading.Condition()

    def wait(self, timeout_s: float) -> bool:
        """Whether there is room for a batch, at the latest after `timeout_s`. Only the poll thread takes it, so it stays."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free > 0, timeout_s)

    def take(self) -> None:
        """One batch more is on its way."""
        with self._changed:
            self._free -= 1
        metrics.IN_FLIGHT.inc()

    def give_back(self) -> None:
        """A batch has landed, or is given up."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()
        metrics.IN_FLIGHT.dec()

    def wait_empty(self, timeout_s: float) -> bool:
        """Whether no batch is on its way, at the latest after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free == self._size, timeout_s)
