"""One fault scenario: the load, the workers that are meant to land it, and the oracle at its end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from pipeline.config.settings import Settings
from pipeline.processors.alerts.rules import DEFAULT_RULES
from tests.support import labels, oracle, rollups, topics
from tests.support.beside import beside
from tests.support.control import EAGER, controlled, start_control
from tests.support.load import Generator, Message
from tests.support.worker import COMMAND, Worker, wait_for


@dataclass(frozen=True)
class Size:
    """How much of a scenario is run. `in_flight` of the `kills` have to find rows between their read and their commit; each
    process that can be away is away `outages` times."""

    events: int
    kills: int
    in_flight: int
    outages: int
    pause_s: float


SIZES = {
    "short": Size(events=12_000, kills=3, in_flight=2, outages=1, pause_s=12),
    "long": Size(events=200_000, kills=20, in_flight=15, outages=5, pause_s=30),
}
LONG = pytest.param("long", marks=[pytest.mark.faults, pytest.mark.timeout(1800)])
FORMS = ("short", LONG)
"""`make test` runs the short form of a fault test, `make faults` the long one."""
ONLY_LONG = pytest.mark.parametrize("form", [LONG], indirect=True)
"""Of a test whose property the short form of another one holds already."""


@dataclass
class Run:
    """One scenario: a load, the workers that are meant to land it, and the oracle at its end."""

    settings: Settings
    load: Generator
    folder: Path
    clickhouse_url: str | None = None
    """What the workers take for ClickHouse, when that is not ClickHouse."""
    command: Sequence[str] = COMMAND
    labelled: bool = False
    """Whether the workers label."""
    produced: list[Message] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    started: int = 0
    control: Worker | None = None
    """Keeps the rollups, which `finish` then checks."""

    def start_control(self) -> Worker:
        """Starts one; kills the one that runs."""
        if self.control is not None:
            self.control.kill()
        self.started += 1
        settings = controlled(self.settings, DEFAULT_RULES)
        self.control = start_control(settings, self.folder / f"control{self.started}.log", EAGER)
        return self.control

    def start_worker(self) -> Worker:
        self.started += 1
        log = self.folder / f"worker{self.started}.log"
        worker = Worker(self.settings, log, self.clickhouse_url, command=self.command)
        self.workers.append(worker)
        return worker

    def remove(self, worker: Worker) -> None:
        self.workers.remove(worker)

    def produce(self, count: int, rate: float = float("inf")) -> None:
        """Takes the next messages of the load and produces them; returns when all are acknowledged."""
        messages = self.load.take(count)
        self.produced += messages
        topics.produce(self.settings.kafka, messages, rate)

    @contextmanager
    def feeding(self, count: int, rate: float = float("inf")) -> Iterator[None]:
        """Produces beside what the block does; at the end of the block, all is produced and acknowledged."""
        with beside(lambda: self.produce(count, rate), "feed"):
            yield

    def finish(self, allow_zombie_rows: int = 0, timeout: float = 180.0) -> oracle.Report:
        """Waits until the group has committed everything, asks the oracle, and fails with what it says."""
        try:
            wait_for("all is committed", self.all_committed, timeout, every=0.3)
        except AssertionError as error:
            error.add_note(f"partitions behind: {topics.lag(self.settings.kafka)}")
            raise
        positions = topics.positions(self.settings.kafka, self.produced)
        truth = oracle.Truth.of(positions)
        drops = [at for at, message in positions.items() if self.load.mentions_none(message.event) and message.event >= 0]
        # A change that waited lands with a batch after that of its create, so it may follow the last commit.
        deadline = time.monotonic() + 15
        report = oracle.check(self.settings, truth, expected_drops=drops, allow_zombie_rows=allow_zombie_rows)
        while report.lost and time.monotonic() < deadline:
            time.sleep(1)
            report = oracle.check(self.settings, truth, expected_drops=drops, allow_zombie_rows=allow_zombie_rows)
        print(report)
        assert report.ok, report
        if self.labelled:
            wait_for("nothing is deferred", lambda: not labels.deferred(self.settings), timeout)
            wrong = labels.check(self.settings, allow_zombie_rows)
            assert not wrong, wrong[: oracle.SHOWN]
        if self.control is not None:
            assert self.control.exit_code is None, self.control.tail()
            differing = rollups.differences(self.settings, patience_s=timeout)
            assert not differing, differing
        return report

    def all_committed(self) -> bool:
        for worker in self.workers:
            assert worker.exit_code is None, f"a worker ended with {worker.exit_code}: {worker.tail()}"
        try:
            return not topics.lag(self.settings.kafka)
        except KafkaException:
            return False

    def close(self) -> None:
        for process in [*self.workers, *([self.control] if self.control else [])]:
            process.close()


class Watch:
    """Samples a worker's health and memory five times a second between `with` and its end."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch")
        self.max_rss = 0
        self.samples = 0
        self.not_live: list[str] = []

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            self.samples += 1
            self.max_rss = max(self.max_rss, self._worker.rss())
            status, why = self._worker.ask("/live")
            if status != 200:
                self.not_live.append(f"{status} {why}")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def assert_well(self) -> None:
        """/live was true at every sample, and the worker kept below 1 GB resident."""
        print(f"{self.samples} samples of health, at most {self.max_rss / 1e6:.0f} MB resident")
        assert self.samples > 5
        assert not self.not_live, f"/live answered {self.not_live[:3]} in {len(self.not_live)} of {self.samples} samples"
        assert self.max_rss < 1_000_000_000, f"{self.max_rss / 1e6:.0f} MB resident"


def kill_rounds(run: Run, count: int, kills: int, rng: random.Random, *, workers: int = 1) -> int:
    """`kills` times a slice of the load comes, some worker reads a random part of it and is killed.

    A control that runs is killed each time, too. The moment is random by what was read and by some milliseconds; one kill in
    ten hits a worker while it starts. Returns how many kills found rows in flight.

    """
    in_flight = 0
    for _ in range(workers):
        run.start_worker()
    for _ in range(kills):
        victim = rng.choice(run.workers)
        if rng.random() < 0.1:
            time.sleep(rng.uniform(0, 5))
            in_flight += victim.kill()
        else:
            in_flight += _feed_and_kill(run, victim, count // kills, rng)
        run.remove(victim)
        run.start_worker()
        if run.control is not None:
            run.start_control()
    run.produce(count - len(run.produced))
    print(f"{in_flight} of {kills} kills found rows in flight")
    return in_flight


def _feed_and_kill(run: Run, victim: Worker, count: int, rng: random.Random) -> bool:
    victim.wait_ready()
    target = victim.rows_read + rng.uniform(0.02, 0.7) * count / len(run.workers)
    with run.feeding(count):
        victim.wait_read(target)
        time.sleep(rng.uniform(0, 0.03))
        return victim.kill()
