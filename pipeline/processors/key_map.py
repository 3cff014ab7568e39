"""A map from 64-bit keys to numbers that numpy looks up by the column.

Sorted arrays, with a directory that says where the keys begin that share their first bits: XXH3 keys are uniform, so about one
key has to be compared. What changes goes into a small map of the same kind, which is merged into the large one when it has
grown: a key takes 16 bytes, and up to 6 for the directory.
"""

from __future__ import annotations

import threading

import numpy as np

from pipeline.processors.keys import Keys

SMALL = 1 << 14
"""The changes are merged when there are more of them, and more than a sixteenth of the keys."""
_COMPARED = 4
"""Keys of one beginning that are compared, before the rest is searched: nobody slows a look-up by keys that begin alike."""


class _Sorted:
    """Keys, each once and sorted, with their values. Never changed."""

    def __init__(self, keys: Keys, values: Keys) -> None:
        self.keys, self.values = keys, values
        bits = (max(len(keys), 1) * 3 // 2).bit_length() - 1
        self._shift = np.uint64(63 - bits)
        ends = np.bincount((keys >> np.uint64(1)) >> self._shift, minlength=1 << bits).cumsum()
        self._starts = np.concatenate([[0], ends]).astype(np.uint32)

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes + self._starts.nbytes

    def put_into(self, values: Keys, keys: Keys) -> None:
        """Sets `values` where `keys` are here."""
        if not len(self.keys):
            return
        beginning = ((keys >> np.uint64(1)) >> self._shift).astype(np.int64)
        at, end = self._starts[beginning], self._starts[beginning + 1]
        # The first key of each beginning, without asking whether there is one: most are found here.
        first = np.minimum(at, np.uint32(len(self.keys) - 1))
        hit = self.keys[first] == keys
        np.copyto(values, self.values[first], where=hit)
        at += np.uint32(1)
        left = np.flatnonzero(~hit & (at < end))
        keys, at, end = keys[left], at[left], end[left]
        for _ in range(_COMPARED - 1):
            if not len(left):
                return
            hit = self.keys[at] == keys
            values[left[hit]] = self.values[at[hit]]
            at += np.uint32(1)
            going = ~hit & (at < end)
            left, keys, at, end = left[going], keys[going], at[going], end[going]
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        hit = self.keys[found] == keys
        values[left[hit]] = self.values[found[hit]]


_NONE = np.zeros(0, dtype=np.uint64)


class KeyMap:
    """Maps each key to itself until another value is put; putting a key as its own value forgets it.

    Threads may share it: `of` sees each `put` whole, or not at all.
    """

    def __init__(self) -> None:
        self._state = _Sorted(_NONE, _NONE), _Sorted(_NONE, _NONE)
        self._lock = threading.Lock()
        self._count = 0

    def __len__(self) -> int:
        """Keys with another value than themselves."""
        return self._count

    @property
    def nbytes(self) -> int:
        large, small = self._state
        return large.nbytes + small.nbytes

    def of(self, keys: Keys) -> Keys:
        """The value of each key; the key itself where none was put."""
        values = keys.copy()
        for sorted_ in self._state:
            sorted_.put_into(values, keys)
        return values

    def put(self, keys: Keys, values: Keys) -> None:
        """Of a key that comes more than once the last value counts."""
        if not len(keys):
            return
        with self._lock:
            large, small = self._state
            changed = np.concatenate([small.keys, keys]), np.concatenate([small.values, values])
            if len(changed[0]) > max(SMALL, len(large.keys) // 16):
                keys, values = _newest(np.concatenate([large.keys, changed[0]]), np.concatenate([large.values, changed[1]]))
                other = keys != values
                large, small = _Sorted(keys[other], values[other]), _Sorted(_NONE, _NONE)
            else:
                small = _Sorted(*_newest(*changed))
            # What hides a key of the large map, or says nothing, adds none.
            hidden = small.keys.copy()
            large.put_into(hidden, small.keys)
            replaced = int((hidden != small.keys).sum())
            self._count = len(large.keys) - replaced + int((small.keys != small.values).sum())
            self._state = large, small


def _newest(keys: Keys, values: Keys) -> tuple[Keys, Keys]:
    """The keys sorted, each with its last value."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = np.append(keys[1:] != keys[:-1], True)
    return keys[last], values[order[last]]
