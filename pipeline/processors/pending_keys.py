"""Keys of the batches on their way, in one table whatever their number: with a table for each, eight cost dedup as much again
as all else."""

from __future__ import annotations

from pipeline.processors.keys import Keys, KeyTable, Mask

_ROOM = 2
"""A table has room for so many times the keys that are pending when it is made."""


class PendingKeys:
    """For one thread at a time. Keys of a batch that has landed stay until the table is full: they are stored by then."""

    def __init__(self) -> None:
        self._table = KeyTable(0)
        self._batches: dict[int, Keys] = {}

    def start(self, batch_id: int, keys: Keys) -> None:
        """The batch's keys are pending: none of them twice, none that `contains` knows."""
        self._batches[batch_id] = keys
        if len(keys) <= self._table.room:
            self._table.add(keys)
        else:
            self._make()

    def landed(self, batch_id: int) -> None:
        """The batch's keys are stored."""
        self._batches.pop(batch_id, None)

    def given_up(self, batch_id: int) -> None:
        """The batch's keys are not pending any more, nor stored."""
        if self._batches.pop(batch_id, None) is not None:
            self._make()

    def forget(self) -> None:
        """Only keys of batches on their way count: some of those that have landed are not stored."""
        self._make()

    def clear(self) -> None:
        """No batch is on its way."""
        self._batches.clear()
        self._make()

    def _make(self) -> None:
        self._table = KeyTable(_ROOM * sum(map(len, self._batches.values())))
        for keys in self._batches.values():
            self._table.add(keys)

    def contains(self, keys: Keys) -> Mask:
        """Which of the keys are pending, or were a moment ago and are stored."""
        return self._table.contains(keys)
