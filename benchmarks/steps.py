"""The steps of the worker, memory to memory: the hot path (decode to mentions) as the worker runs it, and each step alone.

The hot path is one process with a thread a step: while one batch is looked up, the next is decoded. It begins with record
values in lists, as sources/kafka.py hands them over, and ends with the batch after mentions; the revisions of each batch are
remembered as the worker does it. Every revision is new, but for the duplicates of the load.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

from benchmarks import load
from benchmarks.progress import bar
from benchmarks.report import CPU, RATE, Figure
from pipeline.batch import EventBatch
from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.landing import Landing
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import Step
from pipeline.worker.hot_path import HotPath
from pipeline.worker.in_flight import BATCHES_IN_FLIGHT
from schemas.contacts import DEFAULT

DAY_S, LIMIT = 86_400.0, 20_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of events cost."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_per_million(self) -> float:
        return self.cpu_seconds / self.events * 1e6


class Stopwatch:
    """Times one stretch: wall time, and CPU time of the whole process."""

    def __init__(self) -> None:
        self._seconds, self._cpu = time.perf_counter(), time.process_time()

    def cost(self, events: int) -> Cost:
        return Cost(events, time.perf_counter() - self._seconds, time.process_time() - self._cpu)


WORDS = {"hot_path": "20 brands, 200 keywords", "hot_path_5000": "200 brands, 5,000 keywords"}
ALONE = ("decode", "dedup", "mentions", "mentions_5000", "completion", "identity", "shape")


def hot_path_figures(events: int, passes: int) -> Iterator[Figure]:
    """The hot path with both brand lists, in turns: medians of `passes`."""
    values = load.records(events)
    lists = {"hot_path": load.brands(), "hot_path_5000": load.many_brands()}
    costs: dict[str, list[Cost]] = {name: [] for name in lists}
    for _ in bar.track(range(passes), passes, "the hot path: passes"):
        for name, brands in lists.items():
            costs[name].append(hot_path(values, RevisionIndex(KeySet(LIMIT, DAY_S)), brands))
    for name, passed in costs.items():
        yield from _pair(name, passed, f"decode, privacy, dedup, mentions; {WORDS[name]}; {_conditions(values, passes)}")


def step_figures(events: int, passes: int) -> Iterator[Figure]:
    """Each step alone: medians of `passes`."""
    values = load.records(events)
    passed = [each_step(values) for _ in bar.track(range(passes), passes, "each step alone: passes")]
    for name in ALONE:
        yield from _pair(name, [costs[name] for costs in passed], f"the step alone; {_conditions(values, passes)}")


def _conditions(values: Sequence[bytes], passes: int) -> str:
    size = sum(map(len, values)) // len(values)
    return f"{len(values):,} events of {size} bytes, batches of {load.BATCH_ROWS:,}, median of {passes} passes"


def _pair(name: str, costs: Sequence[Cost], conditions: str) -> Iterator[Figure]:
    yield Figure(f"steps.{name}", median(cost.rate for cost in costs), RATE, conditions)
    yield Figure(f"steps.{name}_cpu", median(cost.cpu_per_million for cost in costs), CPU, conditions)


def batches(values: Sequence[bytes]) -> list[EventBatch]:
    starts = range(0, len(values), load.BATCH_ROWS)
    return [batch_of(values[at : at + load.BATCH_ROWS], at, number) for number, at in enumerate(starts, 1)]


def warm_decode(values: Sequence[bytes]) -> Decode:
    """The step as it is after a worker's first batch: it has learnt which fields are in use."""
    decode = Decode()
    decode.process(batch_of(values[:1_000]))
    return decode


# --- the hot path ---------------------------------------------------------------------------------------------------
def chain(values: Sequence[bytes], index: RevisionIndex, brands: Brands) -> list[Step]:
    """The first steps of a worker, in its order."""
    return [warm_decode(values), Pseudonymise(b"key", "", DEFAULT), Dedup(index), Mentions(brands)]


def hot_path(values: Sequence[bytes], index: RevisionIndex, brands: Brands) -> Cost:
    """Runs all records through decode, privacy, dedup and mentions, as `through`."""
    return through(values, HotPath(chain(values, index, brands), MemoryLanding(), [index]))


def through(values: Sequence[bytes], path: HotPath) -> Cost:
    """Runs all records through the steps, each on a thread of its own. Raises what a step raises."""
    waiting = batches(values)
    channels: list[queue.Queue[EventBatch | None]] = [queue.Queue() for _ in range(len(path.steps) + 1)]
    room = threading.Semaphore(BATCHES_IN_FLIGHT)
    failures: list[BaseException] = []

    def run(step: Step, source: queue.Queue[EventBatch | None], target: queue.Queue[EventBatch | None]) -> None:
        try:
            while (batch := source.get()) is not None:
                target.put(step.process(batch))
        except BaseException as error:
            failures.append(error)
        target.put(None)

    def feed() -> None:
        for batch in iter(lambda: waiting.pop(0) if waiting else None, None):
            room.acquire()
            channels[0].put(batch)
        channels[0].put(None)

    pairs = zip(path.steps, channels, channels[1:], strict=False)
    threads = [threading.Thread(target=run, args=arguments, daemon=True) for arguments in pairs]
    threads.append(threading.Thread(target=feed, daemon=True))
    watch = Stopwatch()
    for thread in threads:
        thread.start()
    while (batch := channels[-1].get()) is not None:
        path.land([batch])
        room.release()
    cost = watch.cost(len(values))
    if failures:
        raise failures[0]
    return cost


# --- each step alone ------------------------------------------------------------------------------------------------
class _NoServer:
    """A ClickHouse client that takes every insert, so that landing is shaping, Arrow and the token."""

    def raw_insert(self, *_: Any, **__: Any) -> None:
        pass


class _NoDeadLetters:
    def write(self, *_: Any) -> None:
        pass


def each_step(values: Sequence[bytes]) -> dict[str, Cost]:
    """The cost of each step, one after the other, batch by batch."""
    index, fence = RevisionIndex(KeySet(LIMIT, DAY_S)), Fence()
    completion, identity = Completion(MemoryTable(), DAY_S), Identity(KeyMap())
    landing = Landing(Inserter(cast(Any, _NoServer()), fence, Vitals(), "landing"), cast(Any, _NoDeadLetters()), str)
    dedup, shape = HotPath([Dedup(index)], MemoryLanding(), [index]), HotPath([], landing, [completion, identity])
    decode, mentions, many = warm_decode(values), Mentions(load.brands()), Mentions(load.many_brands())
    costs: dict[str, list[Cost]] = {}

    def timed(name: str, work: Callable[[EventBatch], Any], batch: EventBatch) -> None:
        read, watch = batch.read, Stopwatch()
        work(batch)
        costs.setdefault(name, []).append(watch.cost(read))

    def remember(batch: EventBatch) -> None:
        dedup.land([dedup.process(batch)])

    for batch in batches(values):
        timed("decode", decode.process, batch)
        timed("dedup", remember, batch)
        unmatched = batch.events
        timed("mentions_5000", many.process, batch)
        batch.events = unmatched
        timed("mentions", mentions.process, batch)
        timed("completion", completion.process, batch)
        timed("identity", identity.process, batch)
        fence.polled()
        timed("shape", lambda batch: shape.land([batch]), batch)
    return {name: _sum(parts) for name, parts in costs.items()}


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(c.events for c in costs), sum(c.seconds for c in costs), sum(c.cpu_seconds for c in costs))
