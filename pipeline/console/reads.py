"""Reads ClickHouse for the pages, as user `console`: few questions at a time, short ones, equal ones once.

A question runs in a thread of its own, since the driver waits. Who asks and goes away (a closed tab) ends nothing: others may
wait for the same answer, and the server ends it after its seconds. A restart forgets all that is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import NamedTuple, TypeVar

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clock import Clock, wall
from pipeline.config.settings import ClickHouseSettings
from pipeline.console.filled import Values, filled, plain
from pipeline.console.kept import Kept
from pipeline.console.places import Places
from pipeline.console.reading import FULL, NO_PLACE, Limits, Plain, explained, read, why_late
from pipeline.errors import EarshotError, UnknownName, UnreachableError
from pipeline.queries.named import named, values_of

AT_A_TIME, FIRST = 4, 1
"""Questions, and the place of these that page Now has for itself."""
SECONDS = 5.0
"""Of one question at the server."""
ROUNDS = 4
"""How often that time a question waits for a place: a page asks eight at once, or its last ones would be refused by its own."""
BUSY_S = (0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6)
"""Longer than a question may take: pauses before a question is asked again for which ClickHouse had no place."""
GRACE_S, AWAY_S = 1.0, 1.0
"""The server says itself that the time is over; after this nobody waits for it to, and for so long not again."""
MOST_ROWS, MOST_BYTES = 10_000, 32 << 20
"""Of one answer."""
KEPT_BYTES = 64 << 20
LONGEST_KEPT_S = 60.0
"""Rows that were erased or hidden are in no answer for longer."""
_NONE: Values = {}
Key = tuple[Hashable, ...]
Given = Mapping[str, str | Sequence[str]]
T = TypeVar("T")


class ReadFailed(EarshotError):
    """A question has no answer; the text says why, and what to do. `since`: from when on none has; None: others have."""

    def __init__(self, reason: str, since: datetime | None = None) -> None:
        super().__init__(reason)
        self.reason, self.since = reason, since


class NoPlace(ReadFailed):
    """ClickHouse runs as many questions of this user as it may."""


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
    mark: str = ""
    """What `Reads.mark` said then, before it was asked."""


class _What(NamedTuple):
    sql: str
    values: Values
    columns: tuple[str, ...] = ()


class Reads:
    """The questions of one process; for one event loop. It connects at the first one, and again after an outage."""

    def __init__(self, settings: ClickHouseSettings, clock: Clock = wall, seconds: float = SECONDS) -> None:
        self._settings, self._clock, self._seconds = settings, clock, seconds
        self._pool = ThreadPoolExecutor(AT_A_TIME, "reads")
        self._places = Places(AT_A_TIME, FIRST)
        self._running: dict[Key, asyncio.Task[Answer]] = {}
        self._kept: Kept[Answer] = Kept(KEPT_BYTES)
        self._sweep: asyncio.TimerHandle | None = None
        self._client: Client | None = None
        self._connecting = Lock()
        self.away_since: datetime | None = None
        """From when on ClickHouse has not answered; None: it did, last time."""
        self._why, self._again = "", 0.0
        self.mark: Callable[[], str] = str

    async def ask(
        self, sql: str, parameters: Values = _NONE, keep_s: float = 0.0, most: int = MOST_ROWS, *, first: bool = False
    ) -> Answer:  # fmt: skip
        """The first `most` rows, not older than `keep_s` or than an equal question that is running. `first`: for page Now.
        Raises ReadFailed."""
        values = plain(parameters, sql)
        key = (sql, tuple(sorted((name, repr(value)) for name, value in values.items())), most)
        return await self._once(key, lambda: _What(sql, values), keep_s, most, first, 0.0)

    async def named(
        self, name: str, given: Given, keep_s: float = 0.0, most: int = MOST_ROWS, *, old_s: float = 0.0, around: str = "",
        first: bool = False,
    ) -> Answer:  # fmt: skip
        """The rows of a named query, whose parameters are as people write them: `{"brand": ["acme"], "from": "7d"}`. `around`:
        of this statement, which reads the query as `(QUERY)`. An answer that is no older than `old_s` comes at once, too, while
        the next one is asked for.

        Raises ReadFailed, UnknownName if no query has that name, SettingsError for a value that a parameter can't have.
        """
        query = named(name)
        if query is None:
            raise UnknownName(f"no query is named {name[:100]!r}")
        texts = {each: (value,) if isinstance(value, str) else tuple(value) for each, value in given.items()}
        values_of(query, texts, self._now())  # what is wrong is said before anything is looked up
        key = (name, tuple(sorted(texts.items())), most, around)
        sql, head = (around.replace("(QUERY)", f"(\n{query.sql}\n)"), ()) if around else (query.sql, tuple(query.columns))
        return await self._once(key, lambda: _What(sql, values_of(query, texts, self._now()), head), keep_s, most, first, old_s)

    async def run(self, work: Callable[[Client], T]) -> T:
        """What the work says, which asks as the pages do: in one of their places, with their client. Raises ReadFailed,
        and EarshotError of the work."""
        await self._place(False)
        return await self._in_place(False, lambda: work(self._connected()))

    def forget(self, name: str) -> None:
        """Answers of this named query are old from now on: somebody has changed what it reads."""
        self._kept.drop(lambda key: key[0] == name)
        for key in [key for key in self._running if key[0] == name]:
            del self._running[key]

    def close(self) -> None:
        """Ends it; running questions are not waited for."""
        for task in self._running.values():
            task.cancel()
        if self._sweep:
            self._sweep.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _once(self, key: Key, what: Callable[[], _What], keep_s: float, most: int, first: bool, old_s: float) -> Answer:
        if keep_s and (kept := self._kept.get(key, self._clock(), keep_s)):
            return kept
        task = self._running.get(key)
        if task is None:
            keep_s = min(max(keep_s, old_s), LONGEST_KEPT_S)
            task = self._running[key] = asyncio.create_task(self._answer(key, what, keep_s, most, first))
            task.add_done_callback(partial(self._ended, key))
        if old_s and self.away_since is None and (old := self._kept.get(key, self._clock(), old_s)):
            return old
        return await asyncio.shield(task)

    def _ended(self, key: Key, task: asyncio.Task[Answer]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # perhaps nobody waits any more

    async def _answer(self, key: Key, what: Callable[[], _What], keep_s: float, most: int, first: bool) -> Answer:
        for pause in BUSY_S:
            try:
                return await self._asked(key, what, keep_s, most, first)
            except NoPlace:
                await asyncio.sleep(pause)
        return await self._asked(key, what, keep_s, most, first)

    async def _asked(self, key: Key, what: Callable[[], _What], keep_s: float, most: int, first: bool) -> Answer:
        await self._place(first)
        sql, values, columns = what()
        asked, at, mark = self._clock(), self._now(), self.mark()
        limits = Limits(most, MOST_BYTES, self._seconds)
        rows = await self._in_place(first, lambda: read(self._connected(), sql, values, limits))
        answer = Answer(rows.columns or columns, rows.rows, filled(sql, values), rows.cut, at, mark)
        if keep_s and self._running.get(key) is asyncio.current_task():
            self._kept.put(key, answer, asked, asked + keep_s, rows.size)
            self._forget()
        return answer

    async def _place(self, first: bool) -> None:
        """Waits for a free place. Raises ReadFailed."""
        if self.away_since and 0 < self._again - self._clock() <= AWAY_S:  # a clock may go back
            raise ReadFailed(self._why, self.away_since)
        try:
            await self._places.take(first, ROUNDS * self._seconds)
        except TimeoutError:
            if self.away_since:
                raise ReadFailed(self._why, self.away_since) from None
            raise ReadFailed(NO_PLACE) from None

    async def _in_place(self, first: bool, work: Callable[[], T]) -> T:
        """What the work gives, in a thread; its place is free again when the thread is."""
        loop = asyncio.get_running_loop()
        running = self._pool.submit(work)
        running.add_done_callback(partial(self._left, loop, first))
        try:
            async with asyncio.timeout(self._seconds + GRACE_S):
                found = await asyncio.wrap_future(running)
                self.away_since = None
                return found
        except TimeoutError:
            late = await why_late(self._client, self._seconds, GRACE_S)
        except EarshotError as error:
            if not isinstance(error, UnreachableError):
                raise
            late = explained(error, self._seconds)
        except Exception as error:  # another server's answer may break anything in the driver
            late = explained(error, self._seconds)
        raise self._failed(late)

    def _left(self, loop: asyncio.AbstractEventLoop, first: bool, _: Future[T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._places.leave, first)

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = clickhouse_client(self._settings, int(self._seconds + GRACE_S))
        return self._client

    def _failed(self, late: Plain) -> ReadFailed:
        if not late.away:
            self.away_since = None  # it answers
            return NoPlace(late.reason) if late == FULL else ReadFailed(late.reason)
        self.away_since = self.away_since or self._now()
        self._why, self._again = late.reason, self._clock() + AWAY_S
        self._places.give_up()
        return ReadFailed(late.reason, self.away_since)

    def _forget(self) -> None:
        """Forgets what is over, now and each time that something is, asked for or not."""
        if self._sweep:
            self._sweep.cancel()
        due = self._kept.expire(self._clock())
        self._sweep = due and asyncio.get_running_loop().call_later(max(due - self._clock(), 0) + 0.01, self._forget) or None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
