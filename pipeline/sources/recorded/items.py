"""The items of a recorded file: an event of a row, or the reason why a row has none."""

from __future__ import annotations

from typing import NamedTuple


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
