"""A work of `earshot keys rotate`: what a table has of older keys becomes of the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pipeline.config.keys import Name

Advance = Callable[[int], None]
"""Hears of each some rows that are done."""


class Done(NamedTuple):
    """What came of a pass."""

    rows: int = 0
    """Changed."""
    kept: int = 0
    """Rows that could not be changed, and stay as they are."""
    why: str = ""
    """Why the first of them could not."""


class Work(Protocol):
    """All that is stored under one key in a table. It may be killed at any statement, and run again, also beside processes that
    write: what it finds is what is left to do."""

    table: str
    columns: tuple[str, ...]
    """As the register names them (privacy/places/)."""
    key: Name

    def left(self) -> int:
        """How many rows are of older keys. Raises EarshotError."""

    def run(self, advance: Advance) -> Done:
        """One pass over them. Raises EarshotError."""
