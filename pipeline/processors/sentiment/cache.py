"""Remembers the labels of texts: a table of fixed size, read and filled a column at a time."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
_SLOT = np.dtype([("key", "<u8"), ("scores", "<f4", 3), ("language", "<u2")])


class Cache:
    """Uses at most `megabytes` of memory. A key has one slot, and a new entry replaces the old one in its slot.

    Restart: it is empty. From any thread. 0 megabytes: nothing is kept.
    """

    def __init__(self, megabytes: int) -> None:
        slots = megabytes * (1 << 20) // _SLOT.itemsize
        self._slots = np.zeros(1 << (slots.bit_length() - 1) if slots else 0, _SLOT)
        self._lock = threading.Lock()

    def get(self, keys: Keys) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
        """A mask of the known keys, and their scores (n, 3) and languages; other rows are meaningless."""
        if not len(self._slots):
            return np.zeros(len(keys), bool), np.zeros((len(keys), 3), np.float32), np.zeros(len(keys), np.uint16)
        with self._lock:
            entries = self._slots[self._slots_of(keys)]
        return entries["key"] == keys, entries["scores"], entries["language"]

    def put(self, keys: Keys, scores: npt.NDArray[np.float32], languages: npt.NDArray[np.uint16]) -> None:
        if not len(self._slots):
            return
        new = np.zeros(len(keys), _SLOT)
        new["key"], new["scores"], new["language"] = keys, scores, languages
        with self._lock:
            self._slots[self._slots_of(keys)] = new

    def _slots_of(self, keys: Keys) -> npt.NDArray[np.intp]:
        return (keys & np.uint64(len(self._slots) - 1)).astype(np.intp)
