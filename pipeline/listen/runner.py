"""Runs one source: pages of its driver become events, the cursor follows once Kafka has them, errors become its state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pipeline.clock import worth_logging
from pipeline.fence import GivenUp
from pipeline.kafka.producer import Record as KafkaRecord
from pipeline.listen.driver import Driver, Page
from pipeline.listen.keep import Mentioning
from pipeline.listen.ownership import partition_of
from pipeline.listen.payloads import Payloads
from pipeline.listen.record import Newest, Record
from pipeline.listen.rest import LONGEST_S, Access, Rests
from pipeline.listen.sender import Sender, event_record
from pipeline.listen.sources_file import AnySource
from pipeline.listen.spending import Spending
from pipeline.listen.states import STATES, Failed, SourceError, Spent, State
from pipeline.listen.tables import UNSEEN, Seen, Tables, unheard
from pipeline.listen.timer import Timer, text_of
from pipeline.monitoring import source_metrics as metrics
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation, Observe, Origin
from schemas.untyped import JsonObject

AGAIN_S, FILL_AGAIN_S = 1.0, 60.0
"""Until a first record is written again, or a back-fill looks again for what is new; the shortest rest of one that failed."""
WRITE_S, BYTES_A_SECOND, BYTES_AN_ITEM = 1.0, 20_000, 54
"""A record of topic cursors is written this often at most, and large ones less often; at the end of a poll always."""
LARGE, AT_ONCE = 500, 4
"""Records of more items than LARGE are written AT_ONCE of all sources."""
Part = Literal["live", "back"]
log = logging.getLogger("earshot.listen")


@dataclass(frozen=True)
class Means:
    """What all runners of a listener share."""

    sender: Sender
    tables: Tables
    timer: Timer
    mentioning: Mentioning
    newest: Newest
    """Gets each record that a runner writes."""
    partitions: int
    """Of topic cursors."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    """Of large records: all sources write one when they begin."""


class Runner:
    """One source, for one owner of it. Restart: from the record that the topic has; what was sent after it is sent again, and
    the workers' dedup takes it for redeliveries."""

    def __init__(
        self, source: AnySource, record: Record, access: Access, observe: Observe, means: Means, seen: Seen = UNSEEN
    ) -> None:
        """`record`: the first of this owner. `seen`: when an earlier one heard the source."""
        self._source, self._means = source, means
        self.record = record
        """The last one; all that it holds has been sent."""
        self._written = record.cursor, record.items
        self._known = Known(record.items)
        self._cursor: JsonObject = record.cursor
        self._written_at = self._due = self._begun = 0.0
        self._lock = asyncio.Lock()
        self._at, self._ahead = record.at, record.ahead(means.timer.now(), source.every.total_seconds())
        self._rests: dict[Part, Rests] = {"live": Rests(means.timer, access), "back": Rests(means.timer, access.of_past())}
        self._spending = access.spending or Spending(means.timer)
        self._payloads = Payloads(source, observe)
        metrics.begin(source.name)
        self.health = unheard(source, "running", self._moment(), seen)
        self._heard = False
        for metric, time in ((metrics.CONTACT, seen.last_contact), (metrics.EVENT, seen.last_event)):
            if time is not None:
                metric.labels(source.name).set(time.timestamp())

    # --- the loop -----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until it is cancelled; how far it is, is then in topic cursors, unless Kafka is away."""
        while not await self._write(always=True):  # another listener that still runs this source sees a newer epoch
            await self._means.timer.sleep(AGAIN_S)
        self._set("running")
        filling = asyncio.create_task(self._fill(), name=f"backfill of {self._source.name}")
        try:
            while True:
                if (error := await self._once("live")) is None:
                    left = min(self._due - self._means.timer.now(), self._source.every.total_seconds())  # clocks are set back
                    await self._means.timer.sleep(max(0.0, left))
                else:
                    await self._rest_after(error)
        finally:
            filling.cancel()
            await asyncio.shield(self._write())
            metrics.forget(self._source.name, self._source.platform, STATES)

    async def _fill(self) -> None:
        """What was there before the first start, behind what comes live."""
        if not self._source.backfill or self._cursor.get("filled"):
            return
        while not self._heard:
            await self._means.timer.sleep(AGAIN_S)
        self._cursor = {"begun": self._means.timer.now(), **self._cursor}
        while (error := await self._once("back")) is not None:
            rests = self._rests["back"]
            await rests.rest(max(FILL_AGAIN_S, rests.after(error)), error)
        self._cursor = {**self._cursor, "filled": True}
        await self._write()

    async def _once(self, part: Part) -> SourceError | None:
        """One poll, or a stream until it breaks; the error that ended it."""
        driver: Driver | None = None
        if part == "live":
            self._begun = self._means.timer.now()
            self._due = self._begun + self._source.every.total_seconds()
            metrics.DUE.labels(self._source.name).set(self._due)
        try:
            driver = self._rests[part].begin()
            async with aclosing(self._pages(driver, part)) as pages:
                read_in = self._means.sender.generation
                async for page in pages:
                    await asyncio.shield(self._take(driver, page, part, read_in))  # who stops meanwhile, stops after it
                    read_in = self._means.sender.generation
            await self._write()
            self._rests[part].moved()
        except SourceError as error:
            return error
        except GivenUp:
            return Failed("Kafka or this listener was away for so long that another one may run this source")
        except Exception as error:  # of one source: the others go on
            log.exception("source %s", self._source.name)
            return Failed(f"unexpected {type(error).__name__}, see the log")
        finally:
            if driver is not None:
                await driver.close()
        return None

    async def _pages(self, driver: Driver, part: Part) -> AsyncGenerator[Page, None]:
        cursor: JsonObject = self._cursor.get(part, {})
        since = self._cursor.get("begun", 0.0) - self._source.backfill.total_seconds()
        async for page in driver.pages(cursor) if part == "live" else driver.backfill(cursor, since):
            yield page

    # --- a page -------------------------------------------------------------------------------------------------------
    async def _take(self, driver: Driver, page: Page, part: Part, read_in: int) -> None:
        """Sends what is new in the page; after that the cursor counts."""
        async with self._lock:  # a record of topic cursors never holds an item that Kafka does not have
            now = self._means.timer.now()
            self._at = max(self._at + 1, int((now + self._ahead) * 1000))
            # On a thread: a page that somebody wrote on purpose takes seconds.
            observations = await asyncio.to_thread(self._observed, page.payloads, driver.origin) if page.payloads else []
            known = self._known.copy()
            events = [*known.changes(observations, text_of(self._at / 1000))]
            records, sender = [event_record(event) for event in events], self._means.sender
            refused = await sender.send(sender.events, records, read_in)
            self._known = known
            metrics.REFUSED.labels(self._source.name).inc(len(refused))
            if page.cursor != self._cursor.get(part) or now - self._begun > LONGEST_S:
                self._rests[part].moved()  # a server that takes streams, only to end them, gets ever more rest
            self._cursor = {**self._cursor, part: page.cursor}
        if page.gap is not None:
            metrics.GAPS.labels(self._source.name).inc()
            metrics.GAP.labels(self._source.name).set(now)
            self._means.tables.gap(self._source.name, self._source.platform, page.gap)
        self._sent(events, now)
        if not 0.0 <= now - self._written_at <= WRITE_S + len(self._known) * BYTES_AN_ITEM / BYTES_A_SECOND:
            await self._write()

    def _observed(self, payloads: Sequence[object], origin: Origin) -> list[Observation]:
        found = self._payloads.observed(payloads, origin)
        kept = found if self._source.keep == "all" or not found else self._means.mentioning.keep(found, self._known)
        metrics.NOT_KEPT.labels(self._source.name).inc(len(found) - len(kept))
        return kept

    # --- the cursor ---------------------------------------------------------------------------------------------------
    async def _write(self, *, always: bool = False) -> bool:
        """A record of topic cursors, and its copy, if anything changed since the last one. Whether the topic has it."""
        turn = self._means.turns if len(self._known) > LARGE else nullcontext()
        async with self._lock, turn:
            state = self._cursor | self._spending.dump(), self._known.dump()
            if not always and state == self._written:
                return True
            self.record = self.record.next(*state, self._at)
            self._written_at = self._means.timer.now()
            partition = partition_of(self._source.credential, self._means.partitions)
            record = KafkaRecord(self.record.dump(), self._source.name.encode(), partition=partition)
            try:
                await self._means.sender.send(self._means.sender.cursors, [record])
            except GivenUp:
                return False
            self._written = state
            self._means.newest.wrote(self.record)
        self._means.tables.keep(self.record)
        return True

    # --- the state ----------------------------------------------------------------------------------------------------
    def _sent(self, events: Sequence[JsonObject], now: float) -> None:
        self._heard = True
        metrics.CONTACT.labels(self._source.name).set(now)
        metrics.DUE.labels(self._source.name).set(max(self._due, now))
        for event in events:
            metrics.EVENTS.labels(self._source.name, event["operation"]).inc()
        created = max((event["created_at"] for event in events if event["operation"] == "create"), default=None)
        last = self.health.last_event
        if created is not None:
            newest = min(datetime.fromisoformat(created), self._moment())  # some are ahead of the clock
            metrics.LAG.labels(self._source.name).set(now - newest.timestamp())
            last = newest if last is None else max(last, newest)
            metrics.EVENT.labels(self._source.name).set(last.timestamp())
        self.health = self.health._replace(
            last_contact=self._moment(), last_event=last, events=self.health.events + len(events)
        )
        if self.health.state != "running":
            log.info("source %s is running again", self._source.name)
        self._set("running")

    async def _rest_after(self, error: SourceError) -> None:
        rests, now = self._rests["live"], self._means.timer.now()
        wait = rests.after(error)
        metrics.ERRORS.labels(self._source.name, error.state).inc()
        self.health = self.health._replace(errors=self.health.errors + 1)
        if worth_logging(rests.tries):
            log.warning("source %s is %s: %s; it goes on in %.0f s", self._source.name, error.state, error, wait)
        self._set(error.state, str(error), now + wait)
        if isinstance(error, Spent):
            await self._write()  # a listener that takes over should know it
        await rests.rest(wait, error)

    def _set(self, state: State, why: str = "", until: float | None = None) -> None:
        for each in STATES:
            metrics.STATE.labels(self._source.name, self._source.platform, each).set(each == state)
        since = self.health.since if self.health.state == state else self._moment()
        goes_on = None if until is None else datetime.fromtimestamp(until, UTC)
        left_out = dict(self._payloads.left_out)
        self.health = self.health._replace(
            state=state, reason=why, until=goes_on, since=since, left_out=left_out, written_at=self._moment()
        )
        self._spending.say(self._source.name)
        self._means.tables.note(self.health)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._means.timer.now(), UTC)
