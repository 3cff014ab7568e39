"""One question to ClickHouse from a thread: few rows, little memory, not longer than its time; failures in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from pipeline.clickhouse.query import settings_for
from pipeline.errors import UnreachableError, reason

ROW_BYTES, VALUE_BYTES = 100, 60
"""Of Python's own objects, about."""
_PLAIN = {
    158: "the query reads more rows than it may: ask for a shorter time or one brand",
    241: "the query needs more memory than it may have: ask for a shorter time or one brand",
    307: "the query reads more bytes than it may: ask for a shorter time or one brand",
    396: "the result is larger than may be: ask for fewer rows",
}
_TIME_OVER, _FULL = 159, 202
AWAY, NO_PLACE = "ClickHouse does not answer", "It could not be read, as too many others ask at the same time"
_NO_TABLE = {16, 47, 60, 81}
_REFUSED = {164, 192, 193, 194, 497, 516}
_OUTAGE = {210, 394, 999}


class Rows(NamedTuple):
    """The first rows of a result."""

    columns: tuple[str, ...]
    rows: list[dict[str, object]]
    cut: bool
    """There are more."""
    size: int
    """Bytes in memory, about."""


class Plain(NamedTuple):
    """Why a question has no answer."""

    reason: str
    away: bool
    """The server does not answer."""


FULL = Plain(NO_PLACE, False)
"""The server runs as many questions as it may: it can be asked again."""


class Limits(NamedTuple):
    """Of one question."""

    rows: int
    bytes: int
    seconds: float


def read(client: Client, sql: str, values: Mapping[str, object], limits: Limits) -> Rows:
    """The rows within the limits; no more are fetched. Times are aware, UTC. Raises ClickHouseError."""
    settings = settings_for(client)
    if not client.server_settings["max_execution_time"].readonly:
        settings["max_execution_time"] = f"{limits.seconds:g}"
    rows, size, cut = list[dict[str, object]](), 0, False
    with client.query_rows_stream(sql, dict(values), settings, query_tz="UTC", tz_mode="aware") as stream:
        columns = tuple(stream.source.column_names)
        for row in stream:
            cut = len(rows) >= limits.rows or size > limits.bytes
            if cut:
                break
            size += ROW_BYTES + sum(map(_size, row))
            rows.append(dict(zip(columns, row, strict=True)))
    return Rows(columns, rows, cut, size)


def _size(value: object) -> int:
    if isinstance(value, (list, tuple)):
        return VALUE_BYTES + sum(map(_size, value))
    return VALUE_BYTES + (len(value) if isinstance(value, (str, bytes)) else 0)


def took_longer(seconds: float) -> Plain:
    """A query had its time, and was ended."""
    return Plain(f"the query took longer than {seconds:g} s and was ended: ask for a shorter time or one brand", False)


async def why_late(client: Client | None, seconds: float, grace_s: float) -> Plain:
    """Why an answer did not come in time: the server is asked whether it is there."""
    if client is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if await asyncio.to_thread(client.ping):
                    return took_longer(seconds)
    return Plain(AWAY, True)


def explained(error: Exception, seconds: float) -> Plain:
    """A failure in plain words."""
    if isinstance(error, UnreachableError):
        return Plain(str(error), True)
    code = getattr(error, "code", None)
    if code == _TIME_OVER:
        return took_longer(seconds)
    if code == _FULL:
        return FULL
    if code in _PLAIN:
        return Plain(_PLAIN[code], False)
    if not isinstance(error, (ClickHouseError, OSError)):
        return Plain(f"the answer is not ClickHouse's ({type(error).__name__})", True)
    said = reason(error)
    if code in _OUTAGE or (code is None and isinstance(error, (OperationalError, OSError))):
        return Plain(f"{AWAY}: {said}", True)
    if code in _NO_TABLE:
        return Plain(f"the tables are not those of this version: run `earshot migrate` ({said})", False)
    if code in _REFUSED:
        return Plain(f"ClickHouse does not let the console read this: {said}", False)
    return Plain(f"ClickHouse refuses the query: {said}", False)
