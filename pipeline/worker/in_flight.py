"""How many batches may be on their way at once."""

from __future__ import annotations

import threading

from pipeline.monitoring import metrics


class InFlightLimit:
    """How many batches may be on their way at once."""

    def __init__(self, batches: int) -> None:
        self._free = self._size = batches
        self._changed = threading.Condition()

    def wait(self, timeout_s: float) -> bool:
        """Whether there is room for a batch. Only the poll thread takes it, so it stays until then."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free > 0, timeout_s)

    def take(self) -> None:
        with self._changed:
            self._free -= 1
        metrics.IN_FLIGHT.inc()

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()
        metrics.IN_FLIGHT.dec()

    def wait_empty(self, timeout_s: float) -> bool:
        """Waits until no batch is on its way."""
        with self._changed:
            return self._changed.wait_for(lambda: self._free == self._size, timeout_s)
