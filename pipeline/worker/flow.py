"""Steps as Faust agents: one agent a step, in-process channels between them, a thread for the work.

The Faust app has no broker, no topics, no tables and no web server, so no rebalance ever touches its channels; sources/kafka.py
reads the topic and worker/offsets.py owns the offsets. An unexpected error stops the worker: Faust's own supervisor would
restart the agent after a gap, and a replay from the last committed offset has none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from faust.app.base import BootStrategy

from pipeline.batch import EventBatch
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.faust_app import LOGGERS, StatelessApp
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.monitoring.reject_reasons import reason_class
from pipeline.worker.gathering import LOOK_S, Gathering
from pipeline.worker.hot_path import HotPath
from pipeline.worker.in_flight import BATCHES_IN_FLIGHT, InFlightLimit

log = logging.getLogger("earshot.delivery")
LOG_LEVELS = {
    **dict.fromkeys(LOGGERS, logging.WARNING),
    # Whoever asked logs the failure.
    "aiokafka": logging.CRITICAL,
}
"""Levels for the loggers of Faust and its libraries."""
CHANNEL_DEPTH = BATCHES_IN_FLIGHT
"""A channel has room for all of them: the poll thread never waits for one."""
T = TypeVar("T")


class _InProcess(BootStrategy):
    enable_kafka = False
    enable_web = False
    enable_sensors = False


class LandingLog:
    """Logs once a minute how much has landed: a line for each of ten batches a second would be hundreds of megabytes a day."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._logged = clock, clock()
        self._batches = self._rows = 0

    def add(self, rows: int) -> None:
        """A batch with so many rows has landed."""
        self._batches, self._rows, now = self._batches + 1, self._rows + rows, self._clock()
        if (seconds := now - self._logged) >= 60:
            log.info("%d rows in %d batches have landed in %.0f s", self._rows, self._batches, seconds)
            self._logged, self._batches, self._rows = now, 0, 0


class Flow:
    """The agents of one worker: one for each step of the hot path, then one that lands. Waiting batches land together
    (worker/gathering.py).

    `landed(batch)` follows the landing of each batch. A batch whose generation is over is given up at the next agent.
    """

    def __init__(
        self, hot_path: HotPath, landed: Callable[[EventBatch], None], fence: Fence, vitals: Vitals, in_flight: InFlightLimit
    ) -> None:
        self._hot_path, self._landed = hot_path, landed
        self._fence, self._vitals, self._in_flight = fence, vitals, in_flight
        self._gathering = Gathering(in_flight, time.monotonic)
        steps = hot_path.steps
        self._threads = ThreadPoolExecutor(len(steps) + 1, thread_name_prefix="step")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self.failure: BaseException | None = None
        self._log = LandingLog()
        self.app = StatelessApp(
            f"earshot-worker-{os.getpid()}", broker="kafka://", topic_disable_leader=True, web_enabled=False
        )
        self.app.boot_strategy = _InProcess(self.app)
        # Faust types a channel's items as its own events; ours carry batches as they are.
        self._entry: Any = self.app.channel(maxsize=CHANNEL_DEPTH)
        channel = self._entry
        for step in steps:
            following = self.app.channel(maxsize=CHANNEL_DEPTH)
            self.app.agent(channel, name=step.name)(self._agent(step.name, step.process, following))
            channel = following
        self.app.agent(channel, name="landing")(self._landing)
        metrics.start([*(step.name for step in steps), "landing"])

    def _agent(self, name: str, work: Callable[[EventBatch], EventBatch], following: Any) -> Callable[[Any], Any]:
        async def agent(stream: AsyncIterator[EventBatch]) -> None:
            async for batch in stream:
                try:
                    _count_wait(name, batch)
                    self._fence.check(batch.generation)
                    done = await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, name, work, batch)
                    self._fence.check(batch.generation)
                except GivenUp:
                    self._give_up(batch, name)
                except Exception as error:
                    self.fail(error)
                    return
                else:
                    done.handed_over = time.perf_counter()
                    await following.put(done)

        return agent

    async def _landing(self, stream: Any) -> None:
        async for first in stream:
            if not (batches := await self._gather(first, stream)):
                continue
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, "landing", self._land, batches)
            except GivenUp:
                for batch in batches:
                    self._give_up(batch, "landing")
            except Exception as error:
                self.fail(error)
                return
            else:
                for batch in batches:
                    self._in_flight.give_back(batch)

    async def _gather(self, first: EventBatch, stream: Any) -> list[EventBatch]:
        """The batches that land together. Of those that wait, the ones whose generation ends meanwhile are given up at once."""
        batches: list[EventBatch] = []
        arrived = [first]
        self._gathering.begin()
        while True:
            arrived += _ready(stream)
            for batch in arrived:
                _count_wait("landing", batch)
            batches = [batch for batch in (*batches, *arrived) if self._is_ours(batch)]
            if not self._gathering.goes_on(batches):
                return batches
            arrived = []
            await asyncio.sleep(LOOK_S)

    def _is_ours(self, batch: EventBatch) -> bool:
        try:
            self._fence.check(batch.generation)
        except GivenUp:
            self._give_up(batch, "landing")
            return False
        return True

    def _give_up(self, batch: EventBatch, name: str) -> None:
        log.info("batch %d given up at %s", batch.id, name)
        self._hot_path.give_up(batch)
        self._in_flight.give_back(batch)

    def _timed(self, name: str, work: Callable[[T], T], subject: T) -> T:
        self._vitals.busy(name)
        started, spent = time.perf_counter(), time.thread_time()
        try:
            return work(subject)
        finally:
            metrics.STEP_SECONDS.labels(name).observe(time.perf_counter() - started)
            metrics.STEP_CPU_SECONDS.labels(name).inc(time.thread_time() - spent)
            self._vitals.idle(name)

    def _land(self, batches: list[EventBatch]) -> list[EventBatch]:
        self._hot_path.land(batches)
        for batch in batches:
            _count(batch)
            self._log.add(batch.events.height)
            self._landed(batch)
        return batches

    def put(self, batch: EventBatch) -> None:
        """Passes a batch to the first agent, from the poll thread; `InFlightLimit` keeps the channels from filling."""
        assert self._loop is not None
        batch.handed_over = time.perf_counter()
        asyncio.run_coroutine_threadsafe(self._entry.put(batch), self._loop).result()

    def fail(self, error: BaseException) -> None:
        """Stops the worker because of an error; from any thread."""
        if self.failure is None:
            self.failure = error
        self.stop()

    def stop(self) -> None:
        """Ends `run`, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def run(self, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        """Runs until `stop` or `fail`; raises the error of `fail`. `started` and `stopping` run on a thread, while the agents
        run."""
        self._loop = asyncio.get_running_loop()
        await self.app.start()
        # Faust opens the gates of its channels after a rebalance; this app never has one.
        self.app.flow_control.resume()
        await asyncio.to_thread(started)
        while not self._stop.is_set():
            self._vitals.busy("faust")
            try:
                await asyncio.wait_for(self._stop.wait(), 1.0)
            except TimeoutError:
                continue
        if self.failure is None:
            await asyncio.to_thread(stopping)
        # Threads that retry a request to an unreachable database must not keep the process.
        self._fence.stop()
        await self.app.stop()
        self.check()

    def check(self) -> None:
        """Raises the error that stopped the worker."""
        if self.failure is not None:
            raise self.failure


def _ready(stream: Any) -> Iterator[EventBatch]:
    """The batches that are in the stream's channel already."""
    while not stream.channel.empty():
        yield stream.channel.queue.get_nowait()


def _count_wait(name: str, batch: EventBatch) -> None:
    metrics.STEP_WAIT_SECONDS.labels(name).observe(time.perf_counter() - batch.handed_over)


def _count(batch: EventBatch) -> None:
    metrics.LANDED.inc(batch.events.height)
    metrics.count_labels(batch.events)
    for reason, count in batch.dropped.items():
        metrics.DROPPED.labels(reason).inc(count)
    for (step, reason), count in Counter((r.step, reason_class(r.step, r.reason)) for r in batch.rejected).items():
        metrics.REJECTED.labels(step, reason).inc(count)
    metrics.UNREADABLE.inc(sum(passed.last - passed.first + 1 for passed in batch.unreadable))
    for note, count in batch.notes.items():
        metrics.NOTES.labels(note).inc(count)
    if batch.waiting is not None:
        metrics.WAITED.inc(batch.waiting.height)
    now = time.time()
    if batch.timestamps is not None:
        metrics.KAFKA_LATENCY.observe_all(now - batch.timestamps / 1000)
    happened = batch.events.get_column("occurred_at").drop_nulls().dt.epoch("ms").to_numpy()
    metrics.EVENT_LATENCY.observe_all(now - happened / 1000)
