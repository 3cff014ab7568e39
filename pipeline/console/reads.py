"""Reads ClickHouse for the pages, as user `console`: few questions at a time, short ones, equal ones once.

A question runs in a thread of its own, since the driver waits. Who asks and goes away (a closed tab) ends nothing: others may
wait for the same answer, and the server ends it after its seconds. A restart forgets all that is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clock import Clock, wall
from pipeline.config.settings import ClickHouseSettings
from pipeline.console.filled import Values, filled, plain
from pipeline.console.kept import Kept
from pipeline.console.reading import Limits, Plain, Rows, explained, read, took_longer
from pipeline.errors import EarshotError, UnknownName
from pipeline.queries.named import named, values_of

AT_A_TIME = 4
SECONDS = 5.0
"""Of one question at the server, and of waiting for a free place."""
GRACE_S = 1.0
"""The server says itself that the time is over; after this nobody waits for it to."""
AWAY_S = 1.0
"""After it did not answer, nobody waits for it again so soon."""
MOST_ROWS = 10_000
MOST_BYTES = 32 << 20
"""Of one answer."""
KEPT_BYTES = 64 << 20
LONGEST_KEPT_S = 60.0
"""Rows that were erased or hidden are in no answer for longer."""
_NONE: Values = {}


class ReadFailed(EarshotError):
    """A question has no answer; the text says why, and what to do. `since`: from when on it is so."""

    def __init__(self, reason: str, since: datetime) -> None:
        super().__init__(reason)
        self.reason, self.since = reason, since


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows for a page. Several pages may share them: nobody changes them."""

    columns: tuple[str, ...]
    """The server names none where there are no rows; those of a named query are known."""
    rows: list[dict[str, object]]
    sql: str
    """The statement with its parameters filled in: it runs as it stands."""
    cut: bool
    """There are more rows than these."""
    at: datetime
    """When it was asked, UTC."""


class _What(NamedTuple):
    sql: str
    values: Values
    columns: tuple[str, ...] = ()


class Reads:
    """The questions of one process; for one event loop. It connects at the first one, and again after an outage."""

    def __init__(self, settings: ClickHouseSettings, clock: Clock = wall, seconds: float = SECONDS) -> None:
        self._settings, self._clock, self._seconds = settings, clock, seconds
        self._pool = ThreadPoolExecutor(AT_A_TIME, "reads")
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._running: dict[Hashable, asyncio.Task[Answer]] = {}
        self._kept: Kept[Answer] = Kept(KEPT_BYTES)
        self._sweep: asyncio.TimerHandle | None = None
        self._client: Client | None = None
        self._connecting = Lock()
        self.away_since: datetime | None = None
        """From when on ClickHouse has not answered; None: it did, last time."""
        self._why, self._again = "", 0.0

    async def ask(self, sql: str, parameters: Values = _NONE, keep_s: float = 0.0, most: int = MOST_ROWS) -> Answer:
        """The first `most` rows, not older than `keep_s` or than an equal question that is running. Raises ReadFailed."""
        values = plain(parameters, sql)
        key = (sql, tuple(sorted((name, repr(value)) for name, value in values.items())), most)
        return await self._once(key, lambda: _What(sql, values), keep_s, most)

    async def named(
        self, name: str, given: Mapping[str, str | Sequence[str]], keep_s: float = 0.0, most: int = MOST_ROWS
    ) -> Answer:  # fmt: skip
        """The rows of a named query, whose parameters are as people write them: `{"brand": ["acme"], "from": "7d"}`.

        Raises ReadFailed, UnknownName if no query has that name, SettingsError for a value that a parameter can't have.
        """
        query = named(name)
        if query is None:
            raise UnknownName(f"no query is named {name[:100]!r}")
        texts = {each: (value,) if isinstance(value, str) else tuple(value) for each, value in given.items()}
        values_of(query, texts, self._now())  # what is wrong is said before anything is looked up
        key = (name, tuple(sorted(texts.items())), most)
        columns = tuple(query.columns)
        return await self._once(key, lambda: _What(query.sql, values_of(query, texts, self._now()), columns), keep_s, most)

    def close(self) -> None:
        """Ends it; running questions are not waited for."""
        for task in self._running.values():
            task.cancel()
        if self._sweep:
            self._sweep.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _once(self, key: Hashable, what: Callable[[], _What], keep_s: float, most: int) -> Answer:
        keep_s = min(keep_s, LONGEST_KEPT_S)
        if keep_s and (kept := self._kept.get(key, self._clock(), keep_s)):
            return kept
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._answer(key, what, keep_s, most))
            task.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits any more

    async def _answer(self, key: Hashable, what: Callable[[], _What], keep_s: float, most: int) -> Answer:
        if self.away_since and 0 < self._again - self._clock() <= AWAY_S:  # a clock may go back
            raise ReadFailed(self._why, self.away_since)
        await self._place()
        sql, values, columns = what()
        asked, at = self._clock(), self._now()
        rows = await self._rows(sql, values, most)
        self.away_since = None
        answer = Answer(rows.columns or columns, rows.rows, filled(sql, values), rows.cut, at)
        if keep_s:
            self._kept.put(key, answer, asked, asked + keep_s, rows.size)
            self._forget()
        return answer

    async def _place(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            if self.away_since:
                raise ReadFailed(self._why, self.away_since) from None
            raise ReadFailed(f"{AT_A_TIME} other queries are running: try again in some seconds", self._now()) from None

    async def _rows(self, sql: str, values: Values, most: int) -> Rows:
        """In a thread; its place is free again when the thread is."""
        loop = asyncio.get_running_loop()
        limits = Limits(most, MOST_BYTES, self._seconds)
        work = self._pool.submit(self._read, sql, values, limits)
        work.add_done_callback(partial(self._left, loop))
        try:
            async with asyncio.timeout(self._seconds + GRACE_S):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            late = await self._late()
        except Exception as error:  # another server's answer may break anything in the driver
            late = explained(error, self._seconds)
        raise self._failed(*late)

    async def _late(self) -> Plain:
        """Why an answer did not come in time."""
        if self._client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    if await asyncio.to_thread(self._client.ping):
                        return took_longer(self._seconds)
        return Plain("ClickHouse does not answer", True)

    def _left(self, loop: asyncio.AbstractEventLoop, work: Future[Rows]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._places.release)

    def _read(self, sql: str, values: Values, limits: Limits) -> Rows:
        with self._connecting:
            if self._client is None:
                self._client = clickhouse_client(self._settings, int(self._seconds + GRACE_S))
        return read(self._client, sql, values, limits)

    def _failed(self, reason: str, away: bool) -> ReadFailed:
        now = self._now()
        if not away:
            self.away_since = None  # it answers
            return ReadFailed(reason, now)
        self.away_since = self.away_since or now
        self._why, self._again = reason, self._clock() + AWAY_S
        return ReadFailed(reason, self.away_since)

    def _forget(self) -> None:
        """Forgets what is over, now and each time that something is, asked for or not."""
        if self._sweep:
            self._sweep.cancel()
        due = self._kept.expire(self._clock())
        self._sweep = due and asyncio.get_running_loop().call_later(max(due - self._clock(), 0) + 0.01, self._forget) or None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
