"""Rows of a recorded file, and rows that can't be one."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A row and the line where it starts (in a JSON document: the row's number)."""

    line: int
    values: dict[str, object]
