"""Sets of 64-bit keys that numpy looks up by the column.

A `KeyTable` is an open-addressing hash table in one array. XXH3 keys are uniform, so the low bits are the slot and linear
probing needs one or two passes at a load of 0.7: 11.4 bytes a key when full. `KeySet` strings tables together as generations,
so that the oldest keys leave by dropping a table. A look-up costs 60 to 90 ns a key and generation, most of it one access to
memory that no cache holds, so generations are few and large; the newest grows by doubling. With a 32-bit date for each
key they take half as much memory again.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from pipeline.clock import Clock, wall

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Dates = npt.NDArray[np.uint32]
_LOAD = 0.7
_GENERATIONS = 4
_FIRST_KEYS = 1 << 18
_SLICE = 1 << 16


class KeyTable:
    """A set of non-zero keys of a fixed capacity (0 stands for 1: one key in 2^64 may be taken for another)."""

    def __init__(self, capacity: int, dated: bool = False) -> None:
        bits = max(10, int(np.ceil(np.log2(capacity / _LOAD + 1))))
        self._slots: Keys = np.zeros(1 << bits, dtype=np.uint64)
        self._dates: Dates | None = np.zeros(1 << bits, dtype=np.uint32) if dated else None
        self._mask, self._last = np.uint64((1 << bits) - 1), np.int64((1 << bits) - 1)
        self.room = int((1 << bits) * _LOAD)
        self.count = 0

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes + (0 if self._dates is None else self._dates.nbytes)

    def grown(self) -> KeyTable:
        """A table twice as large with the same keys."""
        table = KeyTable(2 * (self.count + self.room), self._dates is not None)
        # Slice by slice: the columns that adding needs stay in the cache, and out of the peak of memory.
        for start in range(0, len(self._slots), _SLICE):
            slots = self._slots[start : start + _SLICE]
            held = slots != 0
            table.add(slots[held], None if self._dates is None else self._dates[start : start + _SLICE][held])
        return table

    def keys(self) -> Keys:
        held: Keys = self._slots[self._slots != 0]
        return held

    def contains(self, keys: Keys) -> Mask:
        """Which of `keys` are in the table."""
        keys = np.maximum(keys, np.uint64(1))
        slot = (keys & self._mask).view(np.int64)
        held = self._slots.take(slot)
        found: Mask = held == keys
        # Nearly all are told by their first slot.
        others = np.flatnonzero(~found & (held != 0))
        keys, slot = keys[others], slot[others]
        while len(others):
            slot = (slot + 1) & self._last
            held = self._slots.take(slot)
            hit = held == keys
            found[others[hit]] = True
            going = ~hit & (held != 0)
            others, keys, slot = others[going], keys[going], slot[going]
        return found

    def dates(self, keys: Keys) -> Dates:
        """The dates of `keys`, 0 of those that are not in the table."""
        at = self._find(keys)
        assert self._dates is not None
        return np.where(at >= 0, self._dates[at], np.uint32(0))

    def set_dates(self, keys: Keys, dates: Dates) -> None:
        """The keys that are in the table have these dates from now on."""
        at = self._find(keys)
        assert self._dates is not None
        self._dates[at[at >= 0]] = dates[at >= 0]

    def _find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The slots of `keys`, -1 of those that are not in the table."""
        keys = np.maximum(keys, np.uint64(1))
        slots = np.full(len(keys), -1, dtype=np.int64)
        active = np.arange(len(keys))
        slot = (keys & self._mask).view(np.int64)
        while len(active):
            held = self._slots.take(slot)
            hit = held == keys
            slots[active[hit]] = slot[hit]
            going = ~hit & (held != 0)
            active, keys, slot = active[going], keys[going], (slot[going] + 1) & self._last
        return slots

    def add(self, keys: Keys, dates: Dates | None = None) -> None:
        """Adds keys that are not in the table yet; the caller keeps within `room`."""
        added = keys
        keys = np.maximum(keys, np.uint64(1))
        self.room -= len(keys)
        self.count += len(keys)
        slot = (keys & self._mask).view(np.int64)
        while len(keys):
            free = self._slots.take(slot) == 0
            self._slots[slot[free]] = keys[free]
            # Of several keys that met in a free slot the last one has it; the others go on.
            going = self._slots.take(slot) != keys
            keys, slot = keys[going], (slot[going] + 1) & self._last
        if dates is not None:
            self.set_dates(added, dates)


class KeySet:
    """The newest keys, at least `limit` of them and half as many again at most; safe to use from several threads.

    A generation leaves when its last key is older than `seconds`, or when the newer ones hold `limit`; the newest stays.
    """

    def __init__(self, limit: int, seconds: float, clock: Clock = wall, dated: bool = False) -> None:
        self._generations: list[tuple[KeyTable, float]] = []
        self._limit = limit
        self._generation_keys = limit // _GENERATIONS
        self._seconds, self._dated = seconds, dated
        self._clock = clock
        self._lock = threading.Lock()

    def empty(self) -> KeySet:
        """A set without keys, otherwise the same."""
        return KeySet(self._limit, self._seconds, self._clock, self._dated)

    def contains(self, keys: Keys) -> Mask:
        known = np.zeros(len(keys), dtype=np.bool_)
        with self._lock:
            for table, _ in self._generations:
                rest = np.flatnonzero(~known)
                known[rest] = table.contains(keys[rest])
        return known

    def dates(self, keys: Keys) -> Dates:
        """The dates of the keys, 0 of those that are not there."""
        with self._lock:
            dates = [table.dates(keys) for table, _ in self._generations]
        return np.maximum.reduce(dates) if dates else np.zeros(len(keys), dtype=np.uint32)

    def set_dates(self, keys: Keys, dates: Dates) -> None:
        """The keys that are there have these dates from now on."""
        with self._lock:
            for table, _ in self._generations:
                table.set_dates(keys, dates)

    def add(self, keys: Keys, dates: Dates | None = None) -> None:
        """Adds the keys that are not there."""
        new, first = np.unique(keys, return_index=True)
        fresh = ~self.contains(new)
        self.extend(new[fresh], None if dates is None else dates[first[fresh]])

    def extend(self, keys: Keys, dates: Dates | None = None) -> None:
        """Adds keys; the caller knows that they are not there.

        The oldest generation goes when the newer ones hold `limit` keys or more.
        """
        now = self._clock()
        with self._lock:
            while len(keys):
                table = self._newest()
                fits = min(table.room, len(keys))
                table.add(keys[:fits], None if dates is None else dates[:fits])
                keys, dates = keys[fits:], None if dates is None else dates[fits:]
                self._generations[-1] = (table, now)
            self._evict(now)

    def renew(self, keys: Keys) -> None:
        """These stay, or are added, as if they were new; one that is in an old generation is then there twice."""
        if not len(keys):
            return
        keys = np.unique(keys)
        with self._lock:
            held = self._generations[-1][0].contains(keys) if self._generations else np.zeros(len(keys), np.bool_)
        self.extend(keys[~held])

    def _newest(self) -> KeyTable:
        """A table with room: the newest, or that grown, or a new generation."""
        table = self._generations[-1][0] if self._generations else None
        if table is not None and table.room > 0:
            return table
        if table is not None and table.count < self._generation_keys:
            return table.grown()
        self._generations.append((KeyTable(min(_FIRST_KEYS, self._generation_keys), self._dated), 0.0))
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
