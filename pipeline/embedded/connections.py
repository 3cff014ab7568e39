"""Connections to the engine. A statement has one for itself; one that is done is kept for the next with the same settings.

To make one and to set thirty settings on it takes half of the CPU time of a small statement: 1.0 of 1.8 ms.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chdb import _chdb as _module

from pipeline.embedded.query import QueryError

_chdb: Any = _module  # a compiled module without stubs
Connection = Any
MOST = 16
_ERROR = re.compile(r"Code: (\d+)\. ")


class Connections:
    """Those to the engine at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: list[tuple[Sequence[str], Connection]] = []
        """The one that was used last is at the end."""
        self._lock = threading.Lock()

    @contextmanager
    def one(self, session: Sequence[str]) -> Iterator[Connection]:
        """A new connection, on which these statements were run."""
        connection = _chdb.connect(self._path)
        try:
            for statement in session:
                call(connection, statement)
            yield connection
        finally:
            connection.close()

    @contextmanager
    def again(self, session: Sequence[str]) -> Iterator[Connection]:
        """As `one`, or a kept one. It is kept, if the block ends without an error: there nothing may be done that changes what
        later statements mean, but for settings that each block sets."""
        connection = self._take(session)
        try:
            if connection is None:
                connection = _chdb.connect(self._path)
                for statement in session:
                    call(connection, statement)
            yield connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._keep(session, connection)

    def close(self) -> None:
        """Closes those that are kept."""
        with self._lock:
            kept, self._kept = self._kept, []
        for _, connection in kept:
            connection.close()

    def _take(self, session: Sequence[str]) -> Connection | None:
        with self._lock:
            for place in range(len(self._kept) - 1, -1, -1):
                if self._kept[place][0] == session:
                    return self._kept.pop(place)[1]
        return None

    def _keep(self, session: Sequence[str], connection: Connection) -> None:
        with self._lock:
            self._kept.append((session, connection))
            over = self._kept.pop(0)[1] if len(self._kept) > MOST else None
        if over is not None:
            over.close()


def set_sql(settings: Mapping[str, str]) -> str:
    """SET of these. Raises QueryError for what is no name."""
    bad = next((name for name in settings if not re.fullmatch(r"\w+", name)), None)
    if bad is not None:
        raise QueryError(115, f"Code: 115. DB::Exception: Unknown setting '{bad}'. (UNKNOWN_SETTING)")
    return "SET " + ", ".join(f"{name} = " + quoted(value, "'") for name, value in settings.items())


def quoted(text: str, mark: str) -> str:
    """As a literal (') or a name (`)."""
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def call(connection: Connection, sql: bytes | str, output: str = "Null", params: dict[str, str] | None = None) -> Any:
    """The engine's answer. Raises QueryError."""
    try:
        return connection.query(sql, output, params=params or {})
    except RuntimeError as error:
        message = str(error)
        match = _ERROR.search(message)
        raise QueryError(int(match[1]) if match else 1002, message) from None
