"""Sessions: who is logged in. They are in table console_sessions, so that they survive a restart of the console.

Those that are in use are asked for together, in one question every few seconds (`refresh`), so a request waits for the table
only with a cookie that is new here. Such look-ups have threads and turns of their own: random cookies keep nobody else waiting.
While ClickHouse is away, or hangs, those that this process knows go on for TRUST_S. What this process ends is over at once,
also while the end can't be written: `settle` writes it later, and until then nothing that the table says opens it again.
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
from pipeline.console.turns import Turns
from pipeline.errors import UnreachableError

FRESH_S = 10.0
"""How long what the table said of a session is not asked again: so late another console's logout is known here."""
IN_USE_S = 60.0
"""So long after its last request `refresh` asks for a session, too."""
NOTE_S = 300.0
"""How often it is written that a person is still there."""
LONGEST_S = 7 * 86_400.0
"""After so long a session is over, whatever its person does."""
TRUST_S = 3_600.0
"""How long a session goes on whose end elsewhere could not be known here, since ClickHouse does not answer."""
WAIT_S, ANSWER_S, AWAY_S = 5.0, 15.0, 30.0
"""How long a request waits for the table with a session that is known here, and with anything else; and for how long after that
nobody waits again for what is known, unless an answer comes."""
STRANGERS, OF_ADDRESS = 2, 1
MOST_KNOWN = 10_000
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
T = TypeVar("T")
log = logging.getLogger("earshot.console")


class _Known(NamedTuple):
    row: Row
    asked_at: float
    used_at: float


class Sessions:
    """The sessions of people. `still(row)` says whether what made somebody who they are has not changed: else it ends.

    Raises UnreachableError where ClickHouse is needed and does not answer. For one event loop."""

    def __init__(self, table: SessionTable, still: Callable[[Row], bool], idle_s: float, clock: Clock = wall) -> None:
        self.table = table
        self._still, self._idle_s, self._clock = still, idle_s, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._nobodys: OrderedDict[str, float] = OrderedDict()
        """Hashes of cookies that are none, and when the table said so."""
        self._unwritten: dict[str, Row] = {}
        self._away_until = 0.0
        self._threads = ThreadPoolExecutor(4, "sessions")
        self._of_strangers = ThreadPoolExecutor(STRANGERS, "strangers")
        self._turns = Turns(STRANGERS, OF_ADDRESS)

    async def open(self, actor: str, roles: tuple[str, ...], way: str, entry: str) -> str:
        """A new session; returns what its cookie holds. It is in the table on return."""
        token, now = new_token(), self._clock()
        row = Row(hash_of(token), "session", actor, roles, way, entry, now, now)
        self._keep(await self.run(lambda: self.table.write(row)), now)
        return token

    async def find(self, token: str, note: bool = True, holder: str = "") -> Row | None:
        """The session of this cookie; None: there is none, or no longer. `note` that the person is there: not where a page asks
        by itself. `holder`: the address that asks."""
        if not TOKEN.fullmatch(token) or (key := hash_of(token)) in self._unwritten:
            return None
        row = await self._newest(key, holder)
        if row is None or row.kind != "session" or row.ended:
            return None
        now = self._clock()
        away_s = abs(now - row.seen_at)  # who was seen in the future is idle, too: a clock was wrong
        if away_s >= self._idle_s or abs(now - row.created_at) >= LONGEST_S:
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
        if TOKEN.fullmatch(token) and (row := await self._newest(hash_of(token), "")) is not None and row.kind == "session":
            return await self._end(row)
        return True

    async def refresh(self) -> None:
        """Asks, in one question, for all sessions that are in use."""
        asked = self._clock()
        keys = [key for key, known in self._known.items() if not known.row.ended and 0 <= asked - known.used_at < IN_USE_S]
        try:
            rows = await self.run(lambda: self.table.read_all(keys)) if keys else {}
        except UnreachableError:
            self._away_until = self._clock() + AWAY_S
            return
        self._away_until = 0.0
        for key in keys:
            if (row := rows.get(key)) is not None:
                self._keep(row, asked)
            elif (known := self._known.get(key)) is not None and not known.row.ended:
                del self._known[key]  # somebody deleted its row

    async def settle(self) -> None:
        """Writes the ends that could not be written when they were told."""
        for key, row in list(self._unwritten.items()):
            try:
                self._keep(await self.run(partial(self.table.write, row)), self._clock())
            except UnreachableError:
                return
            self._unwritten.pop(key, None)  # who ended it may have written it meanwhile

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, which blocks, from a thread. Raises UnreachableError when it takes too long."""
        return await _within(ANSWER_S, self._threads, work)

    async def stranger(self, work: Callable[[], T], holder: str) -> T:
        """The same for what somebody asks who may be anybody, from this address: one thing at a time, by threads of its own."""
        async with self._turns.turn(holder):
            return await _within(ANSWER_S, self._of_strangers, work)

    def close(self) -> None:
        for each in self._threads, self._of_strangers:
            each.shutdown(wait=False, cancel_futures=True)

    async def _newest(self, key: str, holder: str) -> Row | None:
        known, now = self._known.get(key), self._clock()
        if known is None:
            return await self._unknown(key, holder)
        self._known[key] = known = known._replace(used_at=now)
        self._known.move_to_end(key)
        if known.row.ended or 0 <= now - known.asked_at < FRESH_S:
            return known.row
        if not 0 < self._away_until - now <= AWAY_S:  # a clock may go back
            try:
                row = await _within(WAIT_S, self._threads, lambda: self.table.read(key))
            except UnreachableError:
                self._away_until = self._clock() + AWAY_S
            else:
                return self._keep(row, now) if row is not None else None
        known = self._known.get(key, known)  # a request may have ended it meanwhile
        if not known.row.ended and not 0 <= now - known.asked_at < TRUST_S:
            raise UnreachableError("ClickHouse has not answered for too long")
        return known.row

    async def _unknown(self, key: str, holder: str) -> Row | None:
        now = self._clock()
        if 0 <= now - self._nobodys.get(key, -IN_USE_S) < IN_USE_S:
            return None
        row = await self.stranger(lambda: self.table.read(key), holder)
        if row is not None:
            return self._keep(row, now)
        self._nobodys[key] = now
        while len(self._nobodys) > MOST_KNOWN:
            self._nobodys.popitem(last=False)
        return None

    async def _note(self, row: Row) -> None:
        known = self._known.get(row.hash)
        if known is None:
            return
        self._known[row.hash] = known._replace(row=row)  # at once: of many requests at a time only one writes
        try:
            self._keep(await _within(WAIT_S, self._threads, lambda: self.table.write(row)), known.asked_at)
        except UnreachableError:
            self._away_until = self._clock() + AWAY_S

    async def _end(self, row: Row) -> bool:
        row = row._replace(ended=True)
        self._unwritten[row.hash] = row
        self._keep(row, self._clock())
        try:
            await _within(WAIT_S, self._threads, lambda: self.table.write(row))
        except UnreachableError as error:
            log.warning("the end of a session of %s is written later: %s", row.actor, error)
            return False
        self._unwritten.pop(row.hash, None)
        return True

    def _keep(self, row: Row, asked_at: float) -> Row:
        """Keeps what the table said; returns what holds: an end is never undone, and what is older changes nothing."""
        known = self._known.get(row.hash)
        if known is not None and not row.ended and (known.row.ended or row.version <= known.row.version):
            row = known.row
        self._known[row.hash] = _Known(row, asked_at, known.used_at if known else self._clock())
        self._known.move_to_end(row.hash)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return row


async def _within(seconds: float, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """What the work gives. Its thread goes on where that takes longer: what ClickHouse is asked has an end of its own."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait any more
    try:
        return await asyncio.wait_for(asyncio.shield(future), seconds)
    except TimeoutError:
        raise UnreachableError(f"ClickHouse does not answer within {seconds:g} s") from None
