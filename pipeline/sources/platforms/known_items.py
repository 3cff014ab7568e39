"""What was sent of the newest items of a source, in little memory: 52 bytes an item, as sources have thousands, and listeners
thousands of sources. As a dict of tuples it was 370.

Items lie in rows of five 64-bit numbers, the oldest first, as topic cursors has them; those sent since then lie in a dict, and
become rows with the next `dump`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_ROW = 40
"""Bytes: the item's key, and what was sent."""


class Sent(NamedTuple):
    """What was sent last of an item: a hash of each group, and when its text was edited, in ms since 1970; 0: not known."""

    text: int
    metrics: int
    author: int
    edited: int


class KnownItems:
    """The `most` items that were kept last. For one thread."""

    def __init__(self, dumped: bytes, most: int) -> None:
        """Takes the items that `dump` returned; bytes of another length are none."""
        self._most = most
        self._since: dict[int, Sent] = {}
        self._use(dumped if len(dumped) % _ROW == 0 else b"")

    def _use(self, dumped: bytes) -> None:
        self._dumped = dumped
        self._rows: npt.NDArray[np.uint64] = np.frombuffer(dumped, "<u8").reshape(-1, 5)
        self._keys, places = np.unique(self._rows[:, 0], return_index=True)
        if len(places) < len(self._rows):  # no dump of ours has a key twice
            self._use(self._rows[np.sort(places)].tobytes())
            return
        self._places = places.astype(np.uint32)
        self._old, self._first = len(places), 0
        """How many rows count, which the dict does not have: none before this one."""

    def __len__(self) -> int:
        return self._old + len(self._since)

    def __contains__(self, key: int) -> bool:
        return key in self._since or self._place(key) is not None

    def get(self, key: int) -> Sent | None:
        """What was sent of the item; None: it is not known."""
        if (sent := self._since.get(key)) is not None:
            return sent
        place = self._place(key)
        return None if place is None else Sent(*self._rows[place, 1:].tolist())

    def keep(self, key: int, sent: Sent) -> None:
        """This was sent of the item, which is the newest one now."""
        if self._since.pop(key, None) is None and self._place(key) is not None:
            self._old -= 1
        self._since[key] = sent
        while len(self) > self._most:
            self._forget_oldest()

    def copy(self) -> KnownItems:
        """The same items, apart from these."""
        other = KnownItems.__new__(KnownItems)
        other.__dict__ |= self.__dict__  # the rows never change
        other._since = self._since.copy()
        return other

    def dump(self) -> bytes:
        """The items as rows of little-endian numbers, oldest first."""
        if self._since or self._old < len(self._rows):
            numbers = (number for key, sent in self._since.items() for number in (key, *sent))
            since = np.fromiter(numbers, "<u8", 5 * len(self._since)).reshape(-1, 5)
            rows = self._rows[self._first :] if self._old else self._rows[:0]
            left = rows[~np.isin(rows[:, 0], since[:, 0])]
            self._since = {}
            self._use(np.concatenate((left, since)).tobytes())
        return self._dumped

    def _place(self, key: int) -> int | None:
        """Of the item's row; None: it has none that counts, or the dict has it. While rows count, the dict forgets none."""
        if not self._old:
            return None
        at = int(self._keys.searchsorted(np.uint64(key)))
        if at == len(self._keys) or int(self._keys[at]) != key or self._places[at] < self._first:
            return None
        return int(self._places[at])

    def _forget_oldest(self) -> None:
        if not self._old:
            del self._since[next(iter(self._since))]
            return
        while int(self._rows[self._first, 0]) in self._since:
            self._first += 1
        self._first, self._old = self._first + 1, self._old - 1
