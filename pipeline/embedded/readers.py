"""The users of the embedded ClickHouse who only read: what each reads, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.embedded.analyst_names import ANALYST, CONSOLE, Rights


class Reader(NamedTuple):
    """A user. `most` are settings that its statements may carry up to a value, `pinned` those that all its statements have."""

    rights: Rights
    at_once: int
    """Statements at a time; further ones wait."""
    seconds: int
    """The most that a statement may take, from its arrival on."""
    pinned: Mapping[str, str]
    most: Mapping[str, int] = {}


_CONSOLE_ROWS = 100_000
READERS = {
    "analyst": Reader(ANALYST, 2, 60, {"max_result_bytes": str(256 << 20)}),
    "console": Reader(
        CONSOLE,
        4,
        5,
        {"max_result_bytes": "100000000", "max_result_rows": str(_CONSOLE_ROWS)},
        {"max_execution_time": 5, "max_result_rows": _CONSOLE_ROWS},
    ),
}
"""deploy/clickhouse/analyst.xml and console.xml say the same for a server."""
