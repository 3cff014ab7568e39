"""The tables of a listener: copies of cursors, gaps, and how each source is. It listens on while ClickHouse is away."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from pipeline.clock import worth_logging
from pipeline.errors import UnreachableError, reason
from pipeline.listen.driver import Gap
from pipeline.listen.record import Record, copies_of, read, version
from pipeline.listen.sources_file import AnySource
from pipeline.listen.states import State

EVERY_S, FRESH_S = 2.0, 10.0
"""How often rows are written; for so long the versions that were read count."""
LISTENER, GONE = f"{socket.gethostname()}:{os.getpid()}", "gone"
MOST_GAPS = 10_000
"""Gaps that wait for ClickHouse; beyond it the oldest are dropped, with a warning."""
CLOSE_S = 3.0
SKEW = timedelta(seconds=5)
"""Clocks may differ by so much. A row that is later is of a clock that was ahead: it would count until ours is there."""
PATIENCE_S = 10
"""A ClickHouse that takes a request and gives no answer for so long is away."""
_SEEN = "SELECT source, last_contact, last_event, platform, state, written_at FROM source_health FINAL"
_AHEAD = "DELETE FROM source_health WHERE source IN {names:Array(String)} AND written_at > {latest:DateTime64(3, 'UTC')}"
log = logging.getLogger("earshot.listen")
GAP_COLUMNS = ("source", "platform", "since", "until", "reason", "found_at")
CURSOR_COLUMNS = ("source", "version", "record", "written_at")


class Health(NamedTuple):
    """A row of table source_health, by its columns."""

    source: str
    platform: str
    state: str
    reason: str
    until: datetime | None
    since: datetime
    last_contact: datetime | None
    last_event: datetime | None
    events: int
    errors: int
    left_out: dict[str, int]
    budget_left: float | None
    listener: str
    written_at: datetime
    every_s: float = 60.0


class Seen(NamedTuple):
    """When a source was heard, by any listener; its platform and state then, and when that was written."""

    last_contact: datetime | None = None
    last_event: datetime | None = None
    platform: str = ""
    state: str = ""
    written_at: datetime | None = None


UNSEEN = Seen()


def unheard(source: AnySource, state: State, now: datetime, seen: Seen = UNSEEN) -> Health:
    """Of a source from which nothing has come to this listener. What is later than now was seen by a clock that was ahead."""
    every = source.every.total_seconds()
    contact, event = (None if at is None else min(at, now) for at in seen[:2])
    return Health(source.name, source.platform, state, "", None, now, contact, event, 0, 0, {}, None, LISTENER, now, every)


class Tables:
    """Of one event loop. Rows wait while ClickHouse is away: the newest cursor and state of each source, and all gaps.

    Restart: what waited is lost, but for the cursors, which topic cursors has."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        """`connect` is called on a thread, and again after a failure."""
        self._connect = connect
        self._client: Client | None = None
        self._cursors: dict[str, Record] = {}
        self._health: dict[str, Health] = {}
        self._gaps: list[tuple[object, ...]] = []
        self._ahead: dict[str, datetime] = {}
        """Sources of which there are rows of a clock that was ahead: when later ones were written."""
        self._tries = 0
        self._versions: dict[str, int] = {}
        self._failed: ClickHouseError | UnreachableError | None = None
        """Why they could not be read."""
        self._read_at = -FRESH_S
        self._reading = asyncio.Lock()
        self.seen: dict[str, Seen] = {}
        """By source, as table source_health had it when `newer` last read, or as noted since: one that is dead at a start shows
        since when."""
        self._task = asyncio.create_task(self._run(), name="tables")

    def keep(self, record: Record) -> None:
        """Copies a record of topic cursors."""
        self._cursors[record.source] = record

    def note(self, health: Health) -> None:
        """How a source is."""
        seen, name = self.seen.get(health.source, UNSEEN), health.source
        if seen.written_at is not None and seen.written_at - health.written_at > SKEW:
            self._ahead[name] = health.written_at
        self._health[name] = health
        self.seen[name] = Seen(health.last_contact, health.last_event, health.platform, health.state, health.written_at)

    def note_gone(self, present: Set[str], now: datetime) -> None:
        """Says once of each other source that ever was in sources.yaml that it is gone: nobody misses it."""
        for name, seen in [*self.seen.items()]:
            if name not in present and seen.state != GONE:
                last = Health(name, seen.platform, GONE, "", None, now, *seen[:2], 0, 0, {}, None, LISTENER, now)
                self.note(last)

    def gap(self, source: str, platform: str, gap: Gap) -> None:
        """What a platform could not give any more."""
        self._gaps.append((source, platform, _time(gap.since), _time(gap.until), gap.reason, datetime.now(UTC)))
        if len(self._gaps) > MOST_GAPS:
            log.warning("ClickHouse is away for long: a gap of source %s is not in table source_gaps", self._gaps.pop(0)[0])

    async def newer(self, source: str, than: Record | None) -> Record | None:
        """The copy of the source's newest record, if it is newer; where its credential changed, another partition of topic
        cursors has it. Raises UnreachableError, ClickHouseError; for a while without another try, as all sources that begin
        ask one after the other."""
        async with self._reading:
            if time.monotonic() - self._read_at > FRESH_S:
                try:
                    self._versions, self._failed = await asyncio.to_thread(self._all_versions), None
                except (ClickHouseError, UnreachableError) as error:
                    self._failed = error
                self._read_at = time.monotonic()
            if self._failed is not None:
                raise self._failed.with_traceback(None)
        stored = self._versions.get(source, -1)
        if stored <= (-1 if than is None else version(than)):
            return None
        return await asyncio.to_thread(self._stored, source)

    async def close(self) -> None:
        """Writes what waits, for CLOSE_S at most."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        with suppress(TimeoutError, ClickHouseError, UnreachableError):
            await asyncio.wait_for(asyncio.to_thread(self._write), CLOSE_S)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await asyncio.to_thread(self._write)
                self._tries = 0
            except (ClickHouseError, UnreachableError) as error:
                self._tries += 1
                if worth_logging(self._tries):
                    log.warning("the state of the sources is not written: %s; will be retried", reason(error))

    # --- on a thread --------------------------------------------------------------------------------------------------
    def _all_versions(self) -> dict[str, int]:
        client = self._connected()
        rows = client.query("SELECT source, max(version) FROM source_cursors GROUP BY source").result_rows
        with suppress(ClickHouseError):  # sources begin without it, too
            found = client.query(_SEEN, query_tz="UTC").result_rows
            self.seen = {
                str(name): Seen(_aware(contact), _aware(event), platform, state, _aware(at))
                for name, contact, event, platform, state, at in found
            }
        return {str(name): int(version) for name, version in rows}

    def _stored(self, source: str) -> Record | None:
        sql = "SELECT record FROM source_cursors FINAL WHERE source = {source:String}"
        rows = self._connected().query(sql, {"source": source}).result_rows
        entry = read(source.encode(), rows[0][0].encode()) if rows else None
        return entry if isinstance(entry, Record) else None

    def _connected(self) -> Client:
        self._client = self._client or self._connect()
        return self._client

    def _write(self) -> None:
        """What could not be written waits on, unless a newer row of the source came meanwhile."""
        cursors, self._cursors = self._cursors, {}
        health, self._health = self._health, {}
        gaps, self._gaps = self._gaps, []
        ahead, self._ahead = self._ahead, {}
        now = datetime.now(UTC)
        try:
            self._insert("source_gaps", GAP_COLUMNS, gaps)
            gaps = []
            for copies in copies_of(cursors.values(), now):
                self._insert("source_cursors", CURSOR_COLUMNS, copies)
            if ahead:
                latest = max(ahead.values()) + SKEW
                self._connected().command(_AHEAD, {"names": [*ahead], "latest": f"{latest:%Y-%m-%d %H:%M:%S}"})
            self._insert("source_health", Health._fields, [*health.values()])
        except (ClickHouseError, UnreachableError):
            self._client = None
            self._cursors, self._health, self._gaps = cursors | self._cursors, health | self._health, gaps + self._gaps
            self._ahead = ahead | self._ahead
            raise

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A row that no table takes is left out, with a log: it keeps no other from its table. Columns of later versions have
        their defaults."""
        if not rows:
            return
        try:
            self._connected().insert(table, rows, column_names=columns)
        except Exception as error:
            if isinstance(error, ClickHouseError | UnreachableError) and not isinstance(error, DataError):
                raise
            if len(rows) == 1:
                log.exception("table %s: a row of source %s is lost", table, rows[0][0])
                return
            for row in rows:
                self._insert(table, columns, [row])


def _aware(time: datetime | None) -> datetime | None:
    """ClickHouse's client leaves out the zone, UTC."""
    return time.replace(tzinfo=UTC) if time else None


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
