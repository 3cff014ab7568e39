"""Lookups: who bears the handles that profiles claim? In all stored rows for a new claim, then in what arrives.

| | among | reads |
|---|---|---|
| claims since mark `claims` | all rows, once | interactions, if few by the index of handles; by id: account_events |
| rows since mark `arrived` | all claims, once a minute | interactions by the index of arrivals |
| rows since mark `late` | all claims, once an hour, two hours later | the same rows again: some of them appeared late |

What is found is evidence like any other: who bears a handle (`bears`), and that a profile is known. It works in the background,
for a tenth of the time at most. Restart: from the marks, which are written after what was found; twice is once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import READ, Ask
from pipeline.clickhouse.row_versions import quoted
from pipeline.customers.state import State
from pipeline.errors import EarshotError, reason
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import identity_metrics as metrics
from pipeline.sinks.customers import ARRIVED, CLAIMS, LATE
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import HANDLE_SQL, account_keys, edge_keys
from schemas.times import to_ms, utc_now

LOOK_EVERY_S, ARRIVED_EVERY_S, REST = 1.0, 60.0, 9.0
"""After each second of work nine of rest."""
MOST_CLAIMS, CLAIMS_A_QUERY, ROWS_A_QUERY = 20_000, 5_000, 100_000_000
BY_INDEX = 50
"""Handles of a query that is helped by the index of handles: of 50 it skips half of the rows that bear none of them, of 500
nothing."""
OVERLAP, WINDOW = timedelta(seconds=60), timedelta(hours=1)
"""An insert appears so long after its `ingested_at`, as a rule; what one query reads at most."""
LATEST = timedelta(hours=2)
"""The longest that an insert is repeated, or that clocks of a worker and of this process differ. A second bearer that nobody
sees would leave strangers linked."""
LIMITS: dict[str, object] = {**READ, "max_execution_time": 60, "max_threads": 2, "max_memory_usage": 1_000_000_000}
NO_INDEX: dict[str, object] = LIMITS | {"ignore_data_skipping_indices": "handles"}
log = logging.getLogger("earshot.customers")

_MONTHS = """
SELECT toUInt32(partition) AS month, sum(rows) AS rows FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'interactions' GROUP BY month ORDER BY month"""
_CLAIM = "kind = 'profile' AND type = 'handle' AND rule != 'erased'"
_BEARERS = f"""
SELECT account_key AS a, toString(platform) AS platform, {HANDLE_SQL} AS handle, toUnixTimestamp64Milli(min(author_at)) AS at,
    argMin(event_key, author_at) AS event
FROM interactions WHERE account_key != 0 AND {{where}} GROUP BY account_key, platform, handle"""
_TWO = "ORDER BY a LIMIT 2 BY platform, handle"
"""Of a handle that two bore a claim is about nobody: a name that a million have is no million rows of evidence. In order, so
that who looks again finds the same two."""
_KNOWN = """
SELECT account_key AS b, toUnixTimestamp64Milli(min(created_at)) AS at, argMin(event_key, created_at) AS event
FROM account_events WHERE account_key IN ({keys}) GROUP BY account_key"""
_ARRIVED = "ingested_at >= fromUnixTimestamp64Milli({since}, 'UTC') AND ingested_at < fromUnixTimestamp64Milli({until}, 'UTC')"
_CREATED = _ARRIVED.replace("ingested_at", "created_at")


class Claims(NamedTuple):
    """New claims of others' handles and ids."""

    rows: pl.DataFrame
    """`b`, `b_platform`, `claimed`."""
    until: int
    """Mark `claims` once they are looked up."""


class Span(NamedTuple):
    """Of created_at, `until` apart."""

    since: datetime
    until: datetime
    rows: int


class Lookups:
    """`ask` raises EarshotError, and is asked on a thread of its own; `take` passes evidence to the state."""

    def __init__(self, leader: Leader, state: State, ask: Ask, take: Callable[[pl.DataFrame], Awaitable[None]]) -> None:
        self._leader, self._state, self._ask, self._take = leader, state, ask, take
        self._arrived_at = float("-inf")

    async def run(self) -> None:
        """Looks up again and again while this process leads."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            started = time.monotonic()
            try:
                await self.step(utc_now())
            except GivenUp:
                raise
            except Exception as error:  # evidence and commands go on without it
                log.warning(
                    "handles were not looked up: %s; will be retried",
                    reason(error),
                    exc_info=not isinstance(error, EarshotError),
                )
            await asyncio.sleep(REST * (time.monotonic() - started))

    async def step(self, now: datetime) -> None:
        """Looks up the next claims, and once a minute what has arrived; raises the error of the claims after that."""
        arrived = await self._mark(ARRIVED)
        if not arrived:  # before the first claims are looked up: what comes meanwhile is found by one or the other
            arrived = to_ms(now - OVERLAP)
            await self._keep(ARRIVED, arrived)
        metrics.LOOKUP_AGE.set(max(0.0, now.timestamp() - arrived / 1000))
        failed: EarshotError | None = None
        try:
            await self._look_up_claims()
        except EarshotError as error:
            failed = error
        if time.monotonic() - self._arrived_at >= ARRIVED_EVERY_S:
            await self._look_up_arrivals(arrived, now)
            await self._look_up_late(now)
        if failed is not None:
            raise failed

    async def _look_up_claims(self) -> None:
        claims = await self._leader.on_thread(self._new_claims)
        for start in range(0, claims.rows.height, CLAIMS_A_QUERY):
            some = claims.rows[start : start + CLAIMS_A_QUERY]
            await self._found(await asyncio.to_thread(self._known, some.filter(pl.col("claimed") == "")))
            for span in spans(await asyncio.to_thread(self._ask, _MONTHS, LIMITS)):
                await self._found(await asyncio.to_thread(self._bearers, some.filter(pl.col("claimed") != ""), span))
        if claims.rows.height:
            await self._keep(CLAIMS, claims.until)

    async def _look_up_arrivals(self, since: int, now: datetime) -> None:
        until = min(to_ms(now), since + to_ms_of(WINDOW))
        await self._found(await asyncio.to_thread(self._arrivals, since - to_ms_of(OVERLAP), until))
        await self._keep(ARRIVED, until)
        if until == to_ms(now):
            self._arrived_at = time.monotonic()

    async def _look_up_late(self, now: datetime) -> None:
        """The next hour that ended LATEST ago."""
        hour, latest = to_ms_of(WINDOW), to_ms(now - LATEST)
        since = await self._mark(LATE)
        if not since or since > latest:  # the first time, or the clock was set back
            since = latest - hour
        if since + hour <= latest:
            await self._found(await asyncio.to_thread(self._arrivals, since, since + hour))
            await self._keep(LATE, since + hour)

    def _new_claims(self) -> Claims:
        """On the leader's thread: what it has written so far is there, and later rows have later times."""
        since = self._state.mark(CLAIMS)
        if self._state.claimed <= since:
            return Claims(pl.DataFrame(), since)
        rows = self._state.query(
            "SELECT b, toString(b_platform) AS b_platform, claimed, toUnixTimestamp64Milli(written_at) AS written "
            f"FROM identity_edges WHERE {_CLAIM} AND written_at > fromUnixTimestamp64Milli({since}, 'UTC') "
            f"ORDER BY written_at LIMIT {MOST_CLAIMS} WITH TIES"
        )
        if rows.is_empty():  # most evidence claims nothing: the table need not be read for it again
            self._state.claimed = since
        return Claims(rows.drop("written").unique(), rows.get_column("written").max() or since)  # type: ignore[arg-type]

    def _bearers(self, claims: pl.DataFrame, span: Span) -> pl.DataFrame:
        """Who bore what is claimed by a handle, among the rows of this time."""
        if claims.is_empty():
            return pl.DataFrame(schema=EVIDENCE_COLUMNS)
        handles = claims.get_column("claimed").unique()
        pairs = ",".join(
            f"({quoted(one)},{quoted(other)})" for one, other in claims.select("b_platform", "claimed").unique().iter_rows()
        )
        where = f"{_CREATED.format(since=to_ms(span.since), until=to_ms(span.until))} AND (platform, {HANDLE_SQL}) IN ({pairs})"
        if len(handles) > BY_INDEX:
            return self._bears(where, NO_INDEX)
        return self._bears(f"{where} AND {HANDLE_SQL} IN ({','.join(map(quoted, handles))})", LIMITS)

    def _known(self, claims: pl.DataFrame) -> pl.DataFrame:
        """Which profiles that are claimed by their id are known, among all rows."""
        if claims.is_empty():
            return pl.DataFrame(schema=EVIDENCE_COLUMNS)
        known = self._ask(_KNOWN.format(keys=",".join(map(str, claims.get_column("b")))), LIMITS)
        known = known.join(claims.select("b", platform="b_platform").unique("b"), on="b")
        return self._edges(known.with_columns(a="b"))

    def _arrivals(self, since: int, until: int) -> pl.DataFrame:
        """The same among rows that landed in this time, for all claims."""
        window = _ARRIVED.format(since=since, until=until)
        named = f"SELECT b_platform, claimed FROM identity_edges WHERE {_CLAIM} AND claimed != ''"
        by_id = f"SELECT b FROM identity_edges WHERE {_CLAIM} AND claimed = ''"
        known = self._ask(_BEARERS.format(where=f"{window} AND account_key IN ({by_id})"), LIMITS)
        bears = self._bears(f"{window} AND (platform, {HANDLE_SQL}) IN ({named})", NO_INDEX)
        return pl.concat([bears, self._edges(known.with_columns(b="a"))])

    def _bears(self, where: str, settings: Mapping[str, object]) -> pl.DataFrame:
        found = self._ask(f"{_BEARERS.format(where=where)} {_TWO}", settings)
        no_id = pl.Series([None], dtype=pl.String).new_from_index(0, found.height)
        keys = account_keys(found.get_column("platform"), no_id, found.get_column("handle"))
        return self._edges(found.with_columns(keys.alias("b")))

    def _edges(self, found: pl.DataFrame) -> pl.DataFrame:
        """EVIDENCE_COLUMNS of `a`, `b`, `platform`, `at`, `event`: that a bears b."""
        texts = {"type": "handle", "rule": "bears", "basis": "public", "b_platform": "", "claimed": "", "hash": ""}
        rows = found.with_columns(
            *(pl.lit(value).alias(name) for name, value in texts.items()),
            kind=pl.lit("value"), a_platform="platform", rule_version=pl.lit(self._state.version), held=pl.lit(0),
        )  # fmt: skip
        rows = rows.select(pl.col(name).cast(type_) for name, type_ in EVIDENCE_COLUMNS.items() if name != "edge")
        edges = rows.select(edge_keys(rows).alias("edge"), pl.all())
        return edges.sort("at", "event").unique("edge", keep="first", maintain_order=True)

    async def _found(self, edges: pl.DataFrame) -> None:
        self._leader.check()
        if edges.height:
            await self._take(edges)

    async def _mark(self, name: str) -> int:
        self._leader.check()
        return await self._leader.on_thread(lambda: self._state.mark(name))

    async def _keep(self, name: str, value: int) -> None:
        self._leader.check()
        await self._leader.on_thread(lambda: self._state.keep_mark(name, value))


def to_ms_of(span: timedelta) -> int:
    """Milliseconds."""
    return int(span.total_seconds() * 1000)


def spans(months: pl.DataFrame) -> list[Span]:
    """`month`, as 202611, and `rows`, in their order, as spans of some ROWS_A_QUERY rows at most: months, or parts of one."""
    found: list[Span] = []
    for month, rows in months.iter_rows():
        begin = datetime(month // 100, month % 100, 1, tzinfo=UTC)
        end = (begin + timedelta(days=31)).replace(day=1)
        if found and found[-1].rows + rows <= ROWS_A_QUERY:
            found[-1] = Span(found[-1].since, end, found[-1].rows + rows)
            continue
        parts = -(-rows // ROWS_A_QUERY)
        bounds = [begin + (end - begin) * part / parts for part in range(parts + 1)]
        found += [Span(since, until, rows // parts) for since, until in pairwise(bounds)]
    return found
