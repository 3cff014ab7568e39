"""`earshot listen`: sources become events of topic events.

sources.yaml -> the sources of the partitions that this listener owns (ownership.py)
    a runner each (runner.py): driver (drivers/) -> mapper (sources/platforms/) -> changes -> topic events -> topic cursors
how each source is -> table source_health, metrics; what a platform can't give any more -> table source_gaps
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clock import Seldom
from pipeline.config.settings import Settings
from pipeline.config.watched_file import EVERY_S, WatchedFile
from pipeline.errors import SettingsError, UnreachableError, reason
from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.http.route import Route
from pipeline.listen.api import Api, Limit
from pipeline.listen.credentials import token_of
from pipeline.listen.driver import Driver, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.keep import Mentioning
from pipeline.listen.ownership import Ownership, partition_of
from pipeline.listen.record import Record
from pipeline.listen.rest import Access
from pipeline.listen.runner import Means, Runner
from pipeline.listen.sender import Sender
from pipeline.listen.shares import weights_of
from pipeline.listen.sources_file import AnySource, Sources, parse_sources
from pipeline.listen.spending import Spending
from pipeline.listen.tables import PATIENCE_S, UNSEEN, Health, Tables, unheard
from pipeline.listen.timer import Timer
from pipeline.migrate import check
from pipeline.monitoring import health, metrics, source_metrics
from pipeline.monitoring.process import run_process
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands, parse_brands
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser

MOST_FILES = 65_536
STOP_S, SAY_S = 5.0, 20.0
"""A runner that is stopped may take so long to write how far it is; how often each source's state is written at least."""
log = logging.getLogger("earshot.listen")


@dataclass
class _Running:
    source: AnySource
    task: asyncio.Task[None]
    epoch: int = 0
    """Of this listener; 0: it has not taken the source over yet."""
    runner: Runner | None = None


class Listen:
    """One listener. `environ` has the tokens."""

    def __init__(self, settings: Settings, timer: Timer, environ: Mapping[str, str]) -> None:
        """Raises SettingsError without a file of sources, or for a wrong one."""
        if settings.sources is None:
            raise SettingsError("setting sources names no file: nothing to listen to (docs/sources.md)")
        self._settings, self._timer, self._environ = settings, timer, environ
        self._folder = settings.sources.parent
        self._file: WatchedFile[Sources] = WatchedFile(settings.sources, parse_sources, source_metrics.RELOADS)
        self._brands = WatchedFile(settings.brands, parse_brands, metrics.BRANDS) if settings.brands else None
        self._mentioning = Mentioning(self._brands.value if self._brands else load_brands(SAMPLE_BRANDS))
        self._seldom = Seldom()
        self._vitals = health.Vitals()
        self._limits: dict[str, Limit] = {}
        self._shared: dict[str, dict[str, object]] = {}
        self._running: dict[str, _Running] = {}
        self._last: dict[str, Health] = {}
        """Of the sources that this listener stopped, as they were then: a paused one still shows its last contact."""
        self._runs = (0, 0)
        """How many sources it runs, and how many there are."""
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises EarshotError."""
        settings = self._settings
        check(settings)
        _allow_files()
        source_metrics.start()
        metrics.MEMORY_LIMIT.set(health.memory_limit())
        stop_health = health.serve(self._vitals, settings.listen.host, settings.listen.port)
        self._client = Outgoing(Route.of(settings.outgoing.proxy.get_secret_value(), settings.outgoing.ca_file))
        self._feeds = FeedParser()
        self._sender = Sender(settings.kafka, self._vitals)
        self._tables = Tables(partial(clickhouse_client, settings.clickhouse, PATIENCE_S))
        owner = self._owner = Ownership(settings.kafka, self._vitals, self._arrange, self._sender.give_up, self._sender.polled)
        self._means = Means(self._sender, self._tables, self._timer, self._mentioning, owner.newest, owner.partitions)
        self._owner.start()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ended, watching = asyncio.create_task(stop.wait()), asyncio.create_task(self._watch())
        try:
            ends = (ended, watching, self._sender.failed, self._owner.failed)
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for each in done - {ended}:
                each.result()
        finally:
            watching.cancel()
            await self._owner.close()
            await self._stop([*self._running])
            await self._tables.close()
            await self._sender.close()
            await self._feeds.close()
            await self._client.close()
            stop_health()

    async def _watch(self) -> None:
        """Takes changes of the files over, and says how each source is."""
        loop, changed, said = asyncio.get_running_loop(), list[Sources](), 0.0
        while True:
            await asyncio.sleep(EVERY_S)
            await asyncio.to_thread(self._file.check, changed.append)  # 10,000 sources or brands take seconds
            if self._brands is not None:
                await asyncio.to_thread(self._brands.check, self._mentioning.use)
            if changed or any(each.task.done() for each in self._running.values()):
                changed.clear()
                await self._arrange()
            if loop.time() - said > SAY_S:
                said = loop.time()
                self._say()

    def _say(self) -> None:
        now = datetime.now(UTC)
        for source in self._file.value.sources:
            if (running := self._running.get(source.name)) is not None and (runner := running.runner) is not None:
                left = self._limits[source.credential].left if source.credential in self._limits else None
                runner.health = runner.health._replace(budget_left=left)
                self._tables.note(runner.health._replace(written_at=now))
            elif self._is_paused(source) and self._owns(source):
                seen = self._tables.seen.get(source.name, UNSEEN)
                last = self._last.get(source.name) or unheard(source, "paused", now, seen)
                if last.state != "paused":
                    last = last._replace(state="paused", reason="", until=None, since=now)
                self._last[source.name] = last
                self._tables.note(last._replace(written_at=now))
        self._tables.note_gone({source.name for source in self._file.value.sources}, now)

    # --- which sources run --------------------------------------------------------------------------------------------
    async def _arrange(self) -> None:
        """Starts and stops runners, so that those run which the file, the group and people want."""
        async with self._turn:
            wanted = {source.name: source for source in self._file.value.sources if self._is_ours(source)}
            await self._stop([name for name in self._running if self._is_over(name, wanted.get(name))])
            self._say()
            for name, source in wanted.items():
                if name not in self._running:
                    self._running[name] = _Running(source, asyncio.create_task(self._run(source), name=name))
            if (runs := (len(self._running), len(self._file.value.sources))) != self._runs:
                log.info("runs %d of %d sources", *runs)
                self._runs = runs

    def _is_ours(self, source: AnySource) -> bool:
        return self._owns(source) and not self._is_paused(source)

    def _owns(self, source: AnySource) -> bool:
        return self._partition(source) in self._owner.owned

    def _partition(self, source: AnySource) -> int:
        return partition_of(source.credential, self._owner.partitions)

    def _is_paused(self, source: AnySource) -> bool:
        return self._owner.newest.is_paused(source.name, self._partition(source))

    def _is_over(self, name: str, wanted: AnySource | None) -> bool:
        running, newest = self._running[name], self._owner.newest.records.get(name)
        return wanted != running.source or running.task.done() or (newest is not None and newest.epoch > running.epoch > 0)

    async def _stop(self, names: list[str]) -> None:
        stopped = {name: self._running.pop(name) for name in names}
        self._last |= {name: each.runner.health for name, each in stopped.items() if each.runner is not None}
        tasks = [each.task for each in stopped.values()]
        for task in tasks:
            if task.done() and not task.cancelled():
                log.error("a source stopped, and begins again", exc_info=task.exception())
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
        for runner in [each.runner for each in stopped.values() if each.runner is not None]:
            self._owner.newest.add(runner.record)  # what was written a moment ago may not have been read yet

    async def _run(self, source: AnySource) -> None:
        self._owner.newest.add(record := await self._taken(source))  # the topic brings it back: nothing new
        spending = Spending(self._timer, source.cost, record.cursor.get("spent"))
        live, past = (partial(self._driver, source, spending, is_past) for is_past in (False, True))
        access = Access(live, partial(self._token, source), past, spending)
        observe, seen = mapper(source.platform), self._tables.seen.get(source.name, UNSEEN)
        running = self._running[source.name]
        running.epoch, running.runner = record.epoch, Runner(source, record, access, observe, self._means, seen)
        del record  # large, and soon an old one
        await running.runner.run()

    async def _taken(self, source: AnySource) -> Record:
        """The source's newest record, of the topic or else of the table, as this listener takes it over."""
        newest = self._owner.newest.records.get(source.name)
        while True:
            try:
                stored = await self._tables.newer(source.name, newest)
                return (stored or newest or Record(source.name, source.what())).taken(source.what())
            except (ClickHouseError, UnreachableError) as error:
                if newest is not None:
                    return newest.taken(source.what())
                if self._seldom.due():
                    log.warning("sources begin when ClickHouse says how far they are: %s", reason(error))
                await asyncio.sleep(EVERY_S)

    def _token(self, source: AnySource) -> SecretStr:
        return token_of(source, self._environ, self._folder)

    def _driver(self, source: AnySource, spending: Spending, is_past: bool) -> Driver:
        limit, shared = self._limits.setdefault(source.credential, Limit()), self._shared.setdefault(source.credential, {})
        api = Api(self._client, source.name, self._timer, limit, Allowed.of(source.allow), spending=spending, is_past=is_past)
        alike = self._file.value.by_credential.get(source.credential, ())
        limit.shares.weights = weights_of(runs := [each for each in alike if not self._is_paused(each)])
        beside = frozenset(each.name for each in runs)
        token, others = self._token(source), lambda: self._file.value.sources
        return make_driver(source, Reach(api, token, self._timer, self._feeds, shared, beside, others, self._environ))


def _allow_files() -> None:
    """Each stream is an open file: as many as the system allows, where 1,024 are usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run_listen(settings: Settings, timer: Timer | None = None) -> None:
    """Runs until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    listen = Listen(settings, timer or Timer(), os.environ)
    run_process("listen", lambda: asyncio.run(listen.run()), {})
