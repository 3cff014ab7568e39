"""Sessions: who is logged in. They are in table console_sessions, so that they survive a restart of the console.

A request asks the table, unless it did within a second; while ClickHouse is away, those that this process knows go on. What
this process ends is over at once, also while the end can't be written: `settle` writes it later.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

from pipeline.clock import Clock, wall
from pipeline.console.session_table import Row, SessionTable, hash_of, new_token
from pipeline.errors import UnreachableError

FRESH_S = 1.0
"""How long what the table said of a session is not asked again: so late another console's logout is known here."""
NOTE_S = 60.0
"""How often it is written that a person is still there."""
MOST_KNOWN = 10_000
TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
T = TypeVar("T")
log = logging.getLogger("earshot.console")


class _Known(NamedTuple):
    row: Row
    asked_at: float


class Sessions:
    """The sessions of people. `still(row)` says whether what made somebody who they are has not changed: else it ends.

    Raises UnreachableError where ClickHouse is needed and does not answer."""

    def __init__(self, table: SessionTable, still: Callable[[Row], bool], idle_s: float, clock: Clock = wall) -> None:
        self.table = table
        self._still, self._idle_s, self._clock = still, idle_s, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unwritten: dict[str, Row] = {}
        self._threads = ThreadPoolExecutor(4, "sessions")

    async def open(self, actor: str, roles: tuple[str, ...], way: str, entry: str) -> str:
        """A new session; returns what its cookie holds. It is in the table on return."""
        token, now = new_token(), self._clock()
        row = Row(hash_of(token), "session", actor, roles, way, entry, now, now)
        self._keep(await self.run(lambda: self.table.write(row)))
        return token

    async def find(self, token: str, note: bool = True) -> Row | None:
        """The session of this cookie; None: there is none, or no longer. `note` that the person is there."""
        if not TOKEN.fullmatch(token) or (key := hash_of(token)) in self._unwritten:
            return None
        row = await self._newest(key)
        now = self._clock()
        away_s = (
            abs(now - row.seen_at) if row is not None else 0.0
        )  # who was seen in the future is idle, too: a clock was wrong
        if row is None or row.kind != "session" or row.ended or away_s >= self._idle_s:
            return None
        if not self._still(row):
            await self._end(row)
            return None
        if note and away_s >= NOTE_S:
            await self._note(row._replace(seen_at=now))
        return row

    async def end(self, token: str) -> bool:
        """Ends the session of this cookie at once, if there is one. False: until `settle` has written it, only this process
        knows."""
        if TOKEN.fullmatch(token) and (row := await self._newest(hash_of(token))) is not None and row.kind == "session":
            return await self._end(row)
        return True

    async def settle(self) -> None:
        """Writes the ends that could not be written when they were told."""
        for key, row in list(self._unwritten.items()):
            try:
                self._keep(await self.run(partial(self.table.write, row)))
            except UnreachableError:
                return
            self._unwritten.pop(key, None)  # who ended it may have written it meanwhile

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which blocks, from a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _newest(self, key: str) -> Row | None:
        known = self._known.get(key)
        if known is not None and (known.row.ended or 0 <= self._clock() - known.asked_at < FRESH_S):
            return known.row
        try:
            row = await self.run(lambda: self.table.read(key))
        except UnreachableError:
            if known is None:
                raise
            row = known.row
        newest = self._known.get(key)  # of a request that ended it meanwhile
        if newest is not None and newest.row.ended:
            return newest.row
        if row is not None:
            self._keep(row)
        return row

    async def _note(self, row: Row) -> None:
        self._keep(row)  # at once: of many requests at a time only one writes
        try:
            written = await self.run(lambda: self.table.write(row))
        except UnreachableError:
            return
        if (known := self._known.get(row.hash)) is not None and not known.row.ended:
            self._keep(written)

    async def _end(self, row: Row) -> bool:
        row = row._replace(ended=True)
        self._unwritten[row.hash] = row
        self._keep(row)
        try:
            await self.run(lambda: self.table.write(row))
        except UnreachableError as error:
            log.warning("the end of a session of %s is written later: %s", row.actor, error)
            return False
        self._unwritten.pop(row.hash, None)
        return True

    def _keep(self, row: Row) -> None:
        self._known[row.hash] = _Known(row, self._clock())
        self._known.move_to_end(row.hash)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
