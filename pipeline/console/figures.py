"""How the processes are, for page Operations: what they say of themselves, and what a worker's metrics say."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pipeline.clock import Clock, wall
from pipeline.config.settings import Settings
from pipeline.console.latest import Latest
from pipeline.console.part import Part, part
from pipeline.errors import UnreachableError
from pipeline.maintenance.processes import Process, process, urls
from pipeline.maintenance.status import KafkaState, kafka_state
from pipeline.monitoring.scrape import Flow, Samples, scrape, total

KEEP_S = 2.0
"""Half a page's time would go into asking the same again for the next reader."""


class Table(NamedTuple):
    """A table of ClickHouse, as the worker sees it every 30 s."""

    name: str
    rows: int
    """Stored, including versions that are not merged yet."""
    bytes: int
    parts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the worker that the settings name."""

    rate: float
    latency: float | None
    lag: int
    """Records of its partitions that have not landed."""
    lag_seconds: float
    deferred: int
    tables: list[Table]


class Processes:
    """Asks them, at most every KEEP_S, whoever looks. For one event loop."""

    def __init__(self, settings: Settings, clock: Clock = wall) -> None:
        self._settings = settings
        self._flow = Flow()
        self._clock = clock
        known = urls(settings)
        threads = ThreadPoolExecutor(len(known), "health")  # each can be held by one that hangs
        self._states = {
            name: Latest(name, partial(process, name, url), KEEP_S, clock=clock, threads=threads) for name, url in known.items()
        }
        self._worker = Latest("the worker", self._scrape, KEEP_S, clock=clock)
        self._kafka = Latest("Kafka", lambda: kafka_state(settings), KEEP_S, clock=clock)

    async def states(self) -> dict[str, Part[Process]]:
        """By name: what each says, or that it does not answer."""
        found = await asyncio.gather(*(part(each.get(), self._clock) for each in self._states.values()))
        return dict(zip(self._states, found, strict=True))

    async def figures(self) -> Figures:
        """Raises NotYet while the worker does not answer."""
        return await self._worker.get()

    async def kafka(self) -> KafkaState:
        """Raises NotYet while the broker does not answer."""
        return await self._kafka.get()

    def _scrape(self) -> Figures:
        url = urls(self._settings)["worker"] + "/metrics"
        samples = scrape(url)
        if samples is None:
            raise UnreachableError(f"the worker does not answer at {url}")
        self._flow.update(samples, time.monotonic())
        return figures_of(samples, self._flow)


def figures_of(samples: Samples, flow: Flow) -> Figures:
    """What a worker's metrics and its flow say."""
    names = sorted(label for name, label in samples if name == "earshot_table_rows")
    tables = [
        Table(name, *(int(samples.get((f"earshot_table_{what}", name), 0)) for what in ("rows", "bytes", "parts")))
        for name in names
    ]
    seconds = max((value for (name, _), value in samples.items() if name == "earshot_lag_seconds"), default=0.0)
    return Figures(
        flow.rate,
        flow.latency,
        int(total(samples, "earshot_lag_records")),
        seconds,
        int(total(samples, "earshot_sentiment_deferred_rows")),
        sorted(tables, key=lambda table: -table.bytes),
    )
