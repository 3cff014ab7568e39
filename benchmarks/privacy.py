"""Persons are erased among many interactions, with nothing else to do and beside a stream of events: how soon nothing of them
is found, how long it takes until it is out of the tables' files, and how much later events are seen meanwhile.

A worker, control and customers run. Each person is erased by the command, its start and the graph are in the time; a row of
theirs that any table shows after that fails the measurement. Control purges when all of them are erased.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

import numpy as np
from clickhouse_connect.driver.client import Client

from benchmarks.alerts import Control, rules_file
from benchmarks.branded import stream
from benchmarks.ground import Ground, Worker, cpu_seconds, ground
from benchmarks.identity_live import Customers, stewarded
from benchmarks.identity_tables import database
from benchmarks.privacy_tables import EACH, Size, compute, fill, merge_months
from benchmarks.progress import bar
from benchmarks.queries import begin_rollups, settle
from benchmarks.report import RATIO, Figure
from benchmarks.visible import Positions, Times, Watcher, ends
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.privacy.held import held
from pipeline.privacy.place import Sets
from pipeline.privacy.purge import PURGED
from pipeline.privacy.subject import find, sets_of

NAMES = ("privacy.hide_s", "privacy.purge_s", "privacy.purge_p99_ratio")
SECONDS = "s"
RATE, PERSONS = 2_000, 8
LONGEST_S, WARM_UP_S, SETTLED_S, PATIENCE_S = 3_600, 20.0, 15.0, 900.0
_WAITS = "SELECT count() FROM erasures FINAL WHERE isNull(hidden_at)"
_HIDDEN = (
    "SELECT count() FROM system.parts WHERE database = currentDatabase() AND active AND has_lightweight_delete "
    f"AND table IN {PURGED}"
)


class Phase(NamedTuple):
    """A stretch of the stream."""

    first: int
    last: int
    """Events, by the order in which they were sent."""
    seconds: float
    cores: float
    """Of ClickHouse."""


def figures(rows: int, seconds: int) -> Iterator[Figure]:
    size = Size(rows)
    with ground() as stage, database(stage, "privacy") as plain, clickhouse_client(plain.clickhouse) as client:
        fill(client, size)
        compute(client)
        merge_months(client)
        settle(client)
        yield from measured(stage, plain, client, size, seconds)


def measured(stage: Ground, plain: Settings, client: Client, size: Size, seconds: int) -> Iterator[Figure]:
    """The same of a database that is there."""
    settings = stewarded(plain).model_copy(update={"alerts": rules_file(stage.folder, None)})
    later, now = (_purging(settings, hours) for hours in (720, 0))
    begin_rollups(settings)
    with Worker(settings) as worker, Customers(settings):
        worker.wait_until_it_reads()
        names = [f"forum:p{number * 7}" for number in range(PERSONS)]
        found = {name: sets_of(client, find(client, customer=name)) for name in names}
        pid = stage.stack.pid("clickhouse")

        def erased(names: Sequence[str]) -> list[float]:
            return [_erased(settings, client, name, found[name]) for name in bar.track(names, len(names), "erased")]

        with Control(later):
            time.sleep(SETTLED_S)
            alone = erased(names[: PERSONS // 2])
        with _streaming(settings) as streamed:
            with Control(later):
                time.sleep(WARM_UP_S)
                calm = [streamed.during(pid, lambda: time.sleep(seconds))]
                beside = erased(names[PERSONS // 2 :])
            with Control(now):
                purge = streamed.during(pid, lambda: _purged(client))
            with Control(later):
                time.sleep(SETTLED_S)
                calm.append(streamed.during(pid, lambda: time.sleep(seconds)))
        times = streamed.positions.times()
    stream = f"beside {RATE:,} events/s"
    rows = f"{size.rows:,} interactions in two years, a worker, control and customers"
    many = f"{rows}, {stream}"
    yield Figure(
        NAMES[0],
        max(alone),
        SECONDS,
        f"the worst of {len(alone)} persons with {EACH} events each, median {median(alone):.1f} s; {stream} "
        f"{max(beside):.1f} s, median {median(beside):.1f} s; {rows}",
    )
    cores = sum(phase.cores for phase in calm) / len(calm)
    yield Figure(
        NAMES[1],
        purge.seconds,
        SECONDS,
        f"until no part holds hidden rows of {PERSONS} persons; {(purge.cores - cores) * purge.seconds:.0f} CPU s of "
        f"ClickHouse more than without ({purge.cores:.2f} cores, {cores:.2f} without); {many}",
    )
    during = _p99(times[purge.first : purge.last])
    without = _p99(np.concatenate([times[phase.first : phase.last] for phase in calm]))
    yield Figure(
        NAMES[2],
        during / without,
        RATIO,
        f"p99 from the call of produce to a SELECT's answer: {during:,.0f} ms while control purges, {without:,.0f} in "
        f"{2 * seconds} s without, before and after; {many}",
    )


def _purging(settings: Settings, hours: float) -> Settings:
    return settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"purge_hours": hours})})


def _p99(times: Times) -> float:
    """In ms."""
    return float(np.percentile(times, 99)) * 1000


# --- a person ---------------------------------------------------------------------------------------------------------
def _erased(settings: Settings, client: Client, name: str, sets: Sets) -> float:
    """Seconds from the start of the command until all is hidden. Raises RuntimeError if something is left."""
    command = [sys.executable, "-m", "pipeline.cli", "person", "erase", "--customer", name, "--yes"]
    started = time.monotonic()
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, text=True)
    while client.command(_WAITS):
        if time.monotonic() > started + PATIENCE_S:
            raise RuntimeError(f"{name} is not hidden: {done.stderr.strip().splitlines()[-1:]}")
        time.sleep(0.05)
    took = time.monotonic() - started
    left = [each.place.name for each in held(client, sets) if each.rows and each.place.erase in ("rows", "rebuilt", "letters")]
    if left or not client.command("SELECT count() FROM erasures"):
        raise RuntimeError(f"{name} is still in {left}: {done.stderr.strip().splitlines()[-1:]}")
    return took


def _purged(client: Client) -> None:
    end = time.monotonic() + PATIENCE_S
    while client.command(_HIDDEN):
        if time.monotonic() > end:
            raise RuntimeError("control purged nothing")
        time.sleep(0.2)


# --- the stream -------------------------------------------------------------------------------------------------------
class Stream:
    """RATE events a second, and when another client saw each."""

    def __init__(self, settings: Settings) -> None:
        self.positions = Positions(ends(settings), RATE * LONGEST_S)
        self._sent = 0

    def note(self, at: float) -> None:
        """The next event is sent."""
        self.positions.sent[0, self._sent] = at
        self._sent += 1

    def during(self, clickhouse: int, work: Callable[[], None]) -> Phase:
        first, cpu, started = self._sent, cpu_seconds(clickhouse), time.monotonic()
        work()
        took = time.monotonic() - started
        return Phase(first, self._sent, took, (cpu_seconds(clickhouse) - cpu) / took)


@contextmanager
def _streaming(settings: Settings) -> Iterator[Stream]:
    """Until the end of the block; it ends when all events were seen, or a while later."""
    streamed, ended = Stream(settings), threading.Event()
    busy = threading.Thread(target=stream, args=(settings, RATE, LONGEST_S, lambda: not ended.is_set(), streamed.note))
    with clickhouse_client(settings.clickhouse) as client:
        watcher = Watcher(client, streamed.positions)
        watcher.start()
        busy.start()
        try:
            yield streamed
            ended.set()
            busy.join()
            watcher.wait_for_all()
        finally:
            ended.set()
            busy.join()
            watcher.stop()
