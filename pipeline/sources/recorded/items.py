"""The items of a recorded file: an event of a row, or the reason why a row has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

JUDGED = 1_000
"""The items that are read before the first event, to judge the whole file."""
JUDGED_BYTES = 64 << 20


class Unmapped(NamedTuple):
    """A row, or an event of a row, that doesn't map."""

    line: int
    reason: str


class Damaged(Unmapped):
    """The file breaks off before this row: the rest can't be read."""


class LeftOut(NamedTuple):
    """A field that can't be read, and why."""

    field: str
    reason: str


class Mapped(NamedTuple):
    """An event and the line where its row starts (in a JSON document: the row's number). Bytes are the raw line."""

    line: int
    event: dict[str, object] | bytes
    left_out: tuple[LeftOut, ...] = ()
    """The optional fields whose value can't be read: the event is without them."""


def judged(items: Iterator[Mapped | Unmapped]) -> list[Mapped | Unmapped]:
    """The first items, by which the file is judged: 1,000, fewer if their texts are long."""
    first, size = list[Mapped | Unmapped](), 0
    while len(first) < JUDGED and size < JUDGED_BYTES and (item := next(items, None)) is not None:
        first.append(item)
        if isinstance(item, Mapped):
            text = item.event.get("text") if isinstance(item.event, dict) else item.event
            size += len(text) if isinstance(text, str | bytes) else 0
    return first
