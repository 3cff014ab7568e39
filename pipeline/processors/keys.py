"""Sets of 64-bit keys that numpy looks up by the column.

A `KeyTable` is an open-addressing hash table in one array. XXH3 keys are uniform, so the low bits are the slot and linear
probing needs one or two passes at a load of 0.65: 12.3 bytes a key when full. `KeySet` strings tables together as generations,
so that the oldest keys leave by dropping a table. A look-up costs 60 to 90 ns a key and generation, most of it one access to
memory that no cache holds, so generations are few and large; the newest grows by doubling.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from pipeline.clock import Clock, wall

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
_LOAD = 0.65
_GENERATIONS = 4
_FIRST_KEYS = 1 << 18
_SLICE_KEYS = 1 << 16


class KeyTable:
    """A set of non-zero keys of a fixed capacity (0 stands for 1: one key in 2^64 may be taken for another)."""

    def __init__(self, capacity: int) -> None:
        bits = max(10, int(np.ceil(np.log2(capacity / _LOAD + 1))))
        self._slots: Keys = np.zeros(1 << bits, dtype=np.uint64)
        self._mask = np.uint64((1 << bits) - 1)
        self.room = int((1 << bits) * _LOAD)
        self.count = 0

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes

    def grown(self) -> KeyTable:
        """A table twice as large with the same keys."""
        table = KeyTable(2 * (self.count + self.room))
        keys = self.keys()
        # Slice by slice: the columns that adding needs stay in the cache, and out of the peak of memory.
        for start in range(0, len(keys), _SLICE_KEYS):
            table.add(keys[start : start + _SLICE_KEYS])
        return table

    def keys(self) -> Keys:
        held: Keys = self._slots[self._slots != 0]
        return held

    def contains(self, keys: Keys) -> Mask:
        """Which of `keys` are in the table."""
        keys = np.maximum(keys, np.uint64(1))
        found = np.zeros(len(keys), dtype=np.bool_)
        active = np.arange(len(keys))
        slot = keys & self._mask
        while len(active):
            held = self._slots[slot]
            hit = held == keys
            found[active[hit]] = True
            going = ~hit & (held != 0)
            active, keys, slot = active[going], keys[going], (slot[going] + np.uint64(1)) & self._mask
        return found

    def add(self, keys: Keys) -> None:
        """Adds keys that are not in the table yet; the caller keeps within `room`."""
        keys = np.maximum(keys, np.uint64(1))
        self.room -= len(keys)
        self.count += len(keys)
        slot = keys & self._mask
        while len(keys):
            free = self._slots[slot] == 0
            self._slots[slot[free]] = keys[free]
            # Of several keys that met in a free slot the last one has it; the others go on.
            going = self._slots[slot] != keys
            keys, slot = keys[going], (slot[going] + np.uint64(1)) & self._mask


class KeySet:
    """The newest keys, at least `limit` of them and half as many again at most; safe to use from several threads.

    A generation leaves when its last key is older than `seconds`, or when the newer ones hold `limit`; the newest stays.
    """

    def __init__(self, limit: int, seconds: float, clock: Clock = wall) -> None:
        self._generations: list[tuple[KeyTable, float]] = []
        self._limit = limit
        self._generation_keys = limit // _GENERATIONS
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()

    def contains(self, keys: Keys) -> Mask:
        found = np.zeros(len(keys), dtype=np.bool_)
        with self._lock:
            for table, _ in self._generations:
                rest = np.flatnonzero(~found)
                found[rest] = table.contains(keys[rest])
        return found

    def add(self, keys: Keys) -> None:
        """Adds the keys that are not there."""
        self.extend(np.unique(keys[~self.contains(keys)]))

    def extend(self, keys: Keys) -> None:
        """Adds keys of which the caller knows that they are not there.

        The oldest generation goes when the newer ones hold `limit` keys or more.
        """
        now = self._clock()
        with self._lock:
            while len(keys):
                table = self._newest()
                fits = keys[: table.room]
                table.add(fits)
                keys = keys[len(fits) :]
                self._generations[-1] = (table, now)
            self._evict(now)

    def _newest(self) -> KeyTable:
        """A table with room: the newest, or that grown, or a new generation."""
        table = self._generations[-1][0] if self._generations else None
        if table is not None and table.room > 0:
            return table
        if table is not None and table.count < self._generation_keys:
            return table.grown()
        self._generations.append((KeyTable(min(_FIRST_KEYS, self._generation_keys)), 0.0))
        return self._generations[-1][0]

    def _evict(self, now: float) -> None:
        held = sum(table.count for table, _ in self._generations)
        while len(self._generations) > 1:
            oldest, last_added = self._generations[0]
            if held - oldest.count < self._limit and last_added >= now - self._seconds:
                return
            held -= oldest.count
            del self._generations[0]

    def nbytes(self) -> int:
        with self._lock:
            return sum(table.nbytes for table, _ in self._generations)
