"""Records of a batch in one block of memory.

An object for each record would stay for as long as its batch is on its way: 16,000 blocks of 500 bytes among those of other
batches, between which free memory is of little use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

_OPENING, _CLOSING = b"{}"


class Records(Sequence[bytes | None]):
    """The bytes of each record, or None; an object is made of them when one asks.

    `lines` are the records with a line end between two of them.
    """

    def __init__(self, records: Sequence[bytes | None]) -> None:
        self._none = frozenset(at for at, record in enumerate(records) if record is None) if None in records else frozenset()
        given = [record or b"" for record in records] if self._none else records
        self.lines = b"\n".join(given)  # type: ignore[arg-type]  # none of them is None
        lengths = np.fromiter(map(len, given), np.int64, len(given))  # type: ignore[arg-type]
        self._ends = np.cumsum(lengths + 1) - 1

    def are_objects(self) -> bool:
        """Whether each of them starts with { and ends with }."""
        starts = np.zeros_like(self._ends)
        starts[1:] = self._ends[:-1] + 1
        if self._none or (starts >= self._ends).any():
            return False
        text = np.frombuffer(self.lines, np.uint8)
        return bool((text[starts] == _OPENING).all() and (text[self._ends - 1] == _CLOSING).all())

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes | None]: ...
    def __getitem__(self, at: int | slice) -> bytes | None | list[bytes | None]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        start = int(self._ends[at - 1]) + 1 if at else 0
        return None if at in self._none else self.lines[start : self._ends[at]]
