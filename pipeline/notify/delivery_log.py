"""The delivery log: each try to send a change to a receiver, in table alert_deliveries, and how to read it after a restart.

If ClickHouse was down when the process ended, a row can be missing; that change is then sent twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clock import worth_logging
from pipeline.errors import UnreachableError, reason

OUT_OF_HOURS = "out of hours"
"""Begins the reason of a change that waits for the hours of its receiver: it was not tried."""
MOST_ROWS = 100_000
"""Waiting rows; beyond that the oldest are dropped."""
_INSERT_ROWS = 10_000
_LINGER_S = 0.2  # each insert is a part of the table
_BACKOFF_S = (0.5, 1.0, 2.0)  # never long: a change without its row is sent twice if another process takes over
log = logging.getLogger("earshot.delivery")


class Delivery(NamedTuple):
    """A row of alert_deliveries."""

    alert_key: int
    version: int
    receiver: str
    attempt: int
    """Counts the tries for this receiver and alert, over all versions and restarts."""
    sent: bool
    reason: str
    took_ms: int
    tried_at: datetime
    term: int = 0
    """Of the leader that sent it."""


class Sent(NamedTuple):
    """The newest version of an alert that a receiver has accepted. Version 0: none, but it was tried."""

    version: int
    state: str
    severity: int
    at: datetime
    attempts: int
    escalated: bool = False
    """Whether that version was escalated."""


class DeliveryStore(Protocol):
    """Where the log goes."""

    def record(self, rows: Sequence[Delivery]) -> None:
        """Takes the rows over; never waits and never fails."""


class ClickHouseLog:
    """Writes the log from a thread, for as long as it takes. To be made in a running event loop; `connect` is called in the
    thread, and again after a failure."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._rows: deque[Delivery] = deque(maxlen=MOST_ROWS)
        self._lost = 0
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="delivery log")

    def record(self, rows: Sequence[Delivery]) -> None:
        """Takes the rows over; of too many, the oldest are dropped."""
        lost = max(len(self._rows) + len(rows) - MOST_ROWS, 0)
        if lost and not self._lost:
            log.warning("the delivery log is full: rows are dropped, and some changes may be sent twice after a restart")
        self._lost += lost
        self._rows.extend(rows)
        self._some.set()

    async def close(self, timeout_s: float) -> None:
        """Writes waiting rows, for `timeout_s` at most."""
        self._hurry.set()
        self._some.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait([self._task])
        if left := len(self._rows):
            log.warning("%d rows of the delivery log are not written", left)

    async def _run(self) -> None:
        while not (self._hurry.is_set() and not self._rows):
            await self._some.wait()
            self._some.clear()
            await self._rest(_LINGER_S)
            while self._rows:
                rows = [self._rows.popleft() for _ in range(min(len(self._rows), _INSERT_ROWS))]
                try:
                    await self._write(rows)
                except asyncio.CancelledError:
                    self._rows.extendleft(reversed(rows))
                    raise

    async def _write(self, rows: list[Delivery]) -> None:
        tries = 0
        while True:
            try:
                await asyncio.to_thread(self._insert, rows)
                break
            except (ClickHouseError, OSError, UnreachableError) as error:
                if worth_logging(tries + 1):
                    log.warning("delivery log: %s; try %d, will be retried", reason(error), tries + 1)
            self._client = None
            await asyncio.sleep(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
            tries += 1
        self._lost = 0

    def _insert(self, rows: list[Delivery]) -> None:
        if self._client is None:
            self._client = self._connect()
        # An insert with an unknown result is repeated: the same rows collapse by their key. Each try has a token of its own: a
        # server that is killed may know one, and have no row of it.
        settings = {"insert_deduplication_token": secrets.token_hex(16)}
        self._client.insert("alert_deliveries", rows, column_names=Delivery._fields, settings=settings)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)


def last_held(client: Client, keys: Collection[int]) -> dict[tuple[int, str], int]:
    """The newest version of each of these alerts that waits for the hours of a receiver, or waited for them, by key and
    receiver. Raises ClickHouseError."""
    if not keys:
        return {}
    answer = client.query(
        f"SELECT alert_key, receiver, max(version) FROM alert_deliveries WHERE alert_key IN ({','.join(map(str, keys))}) "
        f"AND startsWith(reason, '{OUT_OF_HOURS}') GROUP BY alert_key, receiver",
        settings={"max_query_size": 64 << 20},
    )
    return {(row[0], row[1]): row[2] for row in answer.result_rows}


def last_sent(client: Client, keys: Collection[int]) -> dict[tuple[int, str], Sent]:
    """The state of these alerts by the log, by key and receiver. Raises ClickHouseError."""
    if not keys:
        return {}
    chosen = f"alert_key IN ({','.join(map(str, keys))})"
    answer = client.query(
        f"""
        SELECT alert_key, receiver, newest, state, severity, at, attempts, escalated
        FROM (
            SELECT alert_key, receiver, maxIf(version, sent) AS newest, maxIf(tried_at, sent) AS at, max(attempt) AS attempts
            FROM alert_deliveries WHERE {chosen} AND NOT startsWith(reason, '{OUT_OF_HOURS}') GROUP BY alert_key, receiver
        ) AS tried
        LEFT JOIN (
            SELECT alert_key, version, argMax(state, term) AS state, argMax(severity, term) AS severity,
                argMax(toBool(isNotNull(escalated_at)), term) AS escalated
            FROM alerts WHERE {chosen} GROUP BY alert_key, version
        ) AS made ON tried.alert_key = made.alert_key AND tried.newest = made.version
        """,
        settings={"max_query_size": 64 << 20},
        query_tz="UTC",
        tz_mode="aware",
    )
    return {(row[0], row[1]): Sent(*row[2:]) for row in answer.result_rows}
