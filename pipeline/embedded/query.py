"""A statement for the embedded ClickHouse, its result and its error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field


class QueryError(Exception):
    """ClickHouse's error: its code and message, as the response carries them."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """One statement of one user. `mark` names it for `Engine.kill`; `received` (monotonic) starts its time limit."""

    statement: bytes
    user: str
    mark: str
    database: str = "default"
    default_format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    readonly: int = 0
    """As the engine's setting: 1 forbids writes and changed settings, 2 only writes."""
    received: float = field(default_factory=time.monotonic)

    @property
    def limited(self) -> bool:
        """Whether its user only reads (embedded/readers.py)."""
        return self.user != "default"


@dataclass(frozen=True)
class QueryResult:
    """The rows of a statement in its format, and its counts."""

    body: bytes
    format: str
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
