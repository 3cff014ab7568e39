"""The last changes of alerts, as they were sent, and the place behind each: who comes back gets what came meanwhile."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

MOST, MOST_BYTES = 2_000, 16 << 20
_OFFSETS = re.compile(r"\d{1,19}(\.\d{1,19}){0,999}", re.ASCII)


class _Kept(NamedTuple):
    partition: int
    offset: int
    event: bytes


class Ring:
    """Bounded in changes and bytes.

    A place is the topic's id and the next offset of each partition, as `Vf0Wn2c8Q7uO1m6d9Rk3Xg~17.0.4`: it means the same to
    another process, and nothing once the topic was made anew.
    """

    def __init__(self, places: Mapping[int, int], ends: Mapping[int, int], topic: str = "") -> None:
        """Begins at `places`; before `ends` nothing is news."""
        self._topic = topic
        self._next = [places[n] for n in range(len(places))]
        self._first, self._ends = list(self._next), [ends[n] for n in range(len(places))]
        self._kept: deque[_Kept] = deque()
        self._bytes = 0

    @property
    def place(self) -> str:
        """Behind all that came, and behind what was there before it began."""
        offsets = ".".join(map(str, map(max, self._next, self._ends)))
        return offsets and f"{self._topic}~{offsets}"

    def passed(self, partition: int, offset: int) -> str:
        """Goes on behind this record; the place there."""
        self._next[partition] = offset + 1
        return self.place

    def keep(self, partition: int, offset: int, event: bytes) -> None:
        """Keeps the event of a record; the oldest ones go when there is no room."""
        self._kept.append(_Kept(partition, offset, event))
        self._bytes += len(event)
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            gone = self._kept.popleft()
            self._bytes -= len(gone.event)
            self._first[gone.partition] = gone.offset + 1

    def since(self, place: str) -> list[bytes] | None:
        """The events after a place; None: some are not kept any more, or it is no place of this topic."""
        topic, _, offsets = place.partition("~")
        if topic != self._topic or not _OFFSETS.fullmatch(offsets):
            return None
        asked = [int(offset) for offset in offsets.split(".")]
        if len(asked) != len(self._next):
            return None
        bounds = zip(self._first, asked, self._next, strict=True)
        if not all(first <= offset <= end for first, offset, end in bounds):
            return None
        return [event for partition, offset, event in self._kept if offset >= asked[partition]]
