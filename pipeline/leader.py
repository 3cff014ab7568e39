"""Leader: of several processes one leads, by a lease and in a term. Each process that needs a leader uses it as it is.

- **Lease** (kafka/lease.py): the owner of a topic's one partition leads for a session from its last confirmed heartbeat.
- **Term** (clickhouse/terms.py): a number in table `leaders`, taken when leading begins. Each write names its term, and
  ClickHouse refuses it once there is a newer term: also a write that was on its way for longer than the lease.
- **Take-over**: take a term; wait for as long as a write of the term before may run, unless it was handed over; only then
  read. So this leader reads all that earlier terms have written, and versions never meet.

A process uses it like this; `work` reads its state, and then serves `with leader.serving(generation)`:

    leader = Leader("control", "evaluating", client, vitals)
    app = make_app(kafka, "control", leader.lease)
    leader.follow(app, topic, forget_records)
    await leader.hold(work)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import faust
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.terms import OTHERS_WRITE_S, Term, Terms
from pipeline.errors import reason
from pipeline.fence import GivenUp
from pipeline.kafka.group import REBALANCE_S
from pipeline.kafka.lease import Lease
from pipeline.monitoring.health import Vitals

RELEASE_S = 2.0
HAND_OVER_S = 5.0
"""When the partition goes to another process, running writes and messages have so long to end."""
BEAT_S, ASK_EVERY_BEATS = 0.5, 10
Work = Coroutine[Any, Any, None]
T = TypeVar("T")
log = logging.getLogger("earshot.leader")


class Leader:
    """Leads whenever the group says so, under the terms of `name`; `working` names the work for `vitals`.

    Everything that writes by `inserter` runs on one thread, one piece after the other: see `on_thread`.
    """

    def __init__(self, name: str, working: str, client: Client, vitals: Vitals, lease: Lease | None = None) -> None:
        self.lease = lease or Lease()
        self.inserter = FencedInserter(client, self.lease, vitals, working)
        self._name, self._vitals, self._working = name, vitals, working
        self._terms = Terms(client, Inserter(client, self.lease, vitals, working), name)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._serving: int | None = None
        self._lead: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    # --- the test of leading ------------------------------------------------------------------------------------------
    def check(self) -> None:
        """The one test of leading. Raises GivenUp when this process does not lead, does not serve yet, or stops."""
        if self._serving is None:
            raise GivenUp
        self.lease.check(self._serving)

    def bound_check(self) -> Callable[[], None]:
        """A `check` that passes in the leadership that is served now, and never in a later one."""
        generation = self._serving

        def check() -> None:
            if self._serving != generation:
                raise GivenUp
            self.check()

        return check

    @contextmanager
    def serving(self, generation: int) -> Iterator[None]:
        """Inside it `check` passes while the lease lasts: this process has read all that it needs. At its end, work
        that was begun by `start` is cancelled."""
        self._serving = generation
        try:
            yield
        finally:
            self._serving = None
            for task in self._tasks:
                task.cancel()

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Runs `work` on the thread of the inserter, which is busy until its end; raises its errors."""

        def run() -> T:
            self._vitals.busy(self._working)
            try:
                return work()
            finally:  # also of what nobody waits for: else its last request would be the last sign of life
                self._vitals.idle(self._working)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def start(self, work: Work) -> None:
        """Runs `work` in the background, until `serving` ends; `hold` raises its error, too."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, GivenUp):
            return
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)
        else:
            log.error("another error in the background", exc_info=error)

    # --- the group ----------------------------------------------------------------------------------------------------
    def follow(self, app: faust.App, topic: str, revoked: Callable[[], None]) -> None:
        """Owns the lease while the app's group assigns it the topic's partition; `revoked` is called when it is taken away."""
        app.on_partitions_assigned.connect(lambda _, /, *partitions, **__: self._assigned(topic, *partitions))
        app.on_partitions_revoked.connect(lambda *_, **__: self._revoked(revoked))

    async def _assigned(self, topic: str, partitions: set[Any]) -> None:
        ours = any(partition.topic == topic for partition in partitions)
        self.lease.assigned(ours)
        if not ours:
            self._vitals.clear("partitions")  # a process that stands by is ready
        log.info("leads" if ours else "stands by: another process leads")

    async def _revoked(self, revoked: Callable[[], None]) -> None:
        """No write and no message begins any more; the next leader has to find those that are under way."""
        revoked()
        if self._lead is not None:
            await asyncio.wait((self._lead,), timeout=HAND_OVER_S)

    async def watch(self, app: faust.App, ask_kafka: Callable[[], str]) -> None:
        """Shows in `vitals` whether Kafka (`ask_kafka`: why not) and the group answer. Raises the error that ends the app's
        consumer: Faust would go on without it."""
        beats = 0
        while app.crash_reason is None:
            if beats % ASK_EVERY_BEATS == 0:
                if why := await asyncio.to_thread(ask_kafka) or self._group_silent():
                    self._vitals.hold("kafka", why)
                else:
                    self._vitals.clear("kafka")
            beats += 1
            await asyncio.sleep(BEAT_S)
        raise app.crash_reason

    def _group_silent(self) -> str:
        seconds = self.lease.unanswered_s()
        return f"the group's coordinator has not answered for {seconds:.0f} s" if REBALANCE_S < seconds < float("inf") else ""

    # --- from taking over to handing over -----------------------------------------------------------------------------
    async def hold(self, work: Callable[[int], Work]) -> None:
        """Runs `work(generation)` whenever this process leads, and cancels it at the end of the lease.

        Raises the first error of `work`, or of the background (`start`), except GivenUp; the process has to end then. A
        cancellation waits for the hand-over, and gives way to such an error.
        """
        while True:
            generation = await self.lease.begun()
            failed = self._failed = asyncio.get_running_loop().create_future()
            lead = self._lead = asyncio.create_task(self._take_over(generation, work))
            ended = asyncio.create_task(self.lease.ended(generation))
            try:
                await asyncio.wait((lead, ended, failed), return_when=asyncio.FIRST_COMPLETED)
                self._vitals.hold("partitions", "does not lead any more: no heartbeat was answered, or the group changes")
                if failed.done():
                    self.lease.stop()  # first: Python 3.11's wait_for may swallow the cancellation, `check` stops the work then
            finally:
                ended.cancel()
                await _finish(lead, failed)
            log.info("does not lead any more")

    async def _take_over(self, generation: int, work: Callable[[int], Work]) -> None:
        self._vitals.hold("partitions", "takes its term, to lead")
        term: Term | None = None
        try:
            term = await self.on_thread(partial(self._terms.take, partial(self.lease.check, generation)))
            self.inserter.begin(self._name, term.number)
            if not term.alone:
                self._vitals.hold("partitions", "waits for the last writes of the leader before")
                await self.lease.rest(generation, OTHERS_WRITE_S)
            await work(generation)
        finally:
            self._vitals.idle(self._working)
            if term is not None:
                await self._release(term.number)

    async def _release(self, term: int) -> None:
        """Hands over, so that the next leader need not wait; not while a write may still run."""
        if self.inserter.unsettled:
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self._terms.release, term), RELEASE_S)
        except (ClickHouseError, OSError, TimeoutError) as error:
            log.warning("the next leader will wait for %.0f s: %s", OTHERS_WRITE_S, reason(error))


async def _finish(lead: asyncio.Task[None], failed: asyncio.Future[None]) -> None:
    """Cancels `lead`, and waits until it has handed over: no cancellation of the caller cuts that off. Raises the error of
    either, except GivenUp."""
    lead.cancel()
    try:
        # Not gather: it would pass a cancellation on to `lead`, which sends its last messages now.
        await asyncio.wait((lead,))
    except asyncio.CancelledError:
        await asyncio.wait((lead,))
        raise
    finally:
        errors = [end.exception() for end in (failed, lead) if end.done() and not end.cancelled()]  # all are retrieved
        for error in errors:
            if error is not None and not isinstance(error, GivenUp):
                raise error
