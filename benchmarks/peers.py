"""The same work in stock Faust, Quix Streams and Bytewax: one run, same broker, same events, same database, equal outputs.

The work: read the topic, decode, drop duplicates, find the brands of the same list, insert into ClickHouse. Each peer has an
application (apps/with_<peer>.py) in the form its documentation gives for throughput, in a virtual environment of its own, and
runs as one process and as two, each with half of the partitions; its better rate counts. What it writes is compared with what
the worker wrote, row by row; a difference fails the measurement. How each was tuned: docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks import load
from benchmarks.compare import differences
from benchmarks.end_to_end import describe, measure
from benchmarks.environments import APPS, python_of, version_of
from benchmarks.ground import PARTITIONS, PATIENCE_S, Ground, ground, producing, wait_for_rows
from benchmarks.progress import bar
from benchmarks.report import RATE, RATIO, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.migrate import migrate

PEERS = ("faust", "quix", "bytewax")
NAMES = ("peers.earshot", *(f"peers.{peer}{suffix}" for peer in PEERS for suffix in ("_ratio", "")))
PROCESSES = (1, 2)


def figures(events: int, faust_events: int, runs: int) -> Iterator[Figure]:
    """All in turns: the ratios are those of medians. Raises RuntimeError for the peers that failed, after the others."""
    failures: dict[str, Exception] = {}
    rates: dict[tuple[str, int], list[float]] = {}
    with ground() as stage, ExitStack() as kept:
        feeds = {count: Feed(stage, count, kept) for count in {events, faust_events}}
        sizes = dict.fromkeys(PEERS, events) | {"faust": faust_events}
        ours = []
        for _ in bar.track(range(runs), runs, "peers, in turns: rounds"):
            with stage.run(feeds[events].whole) as settings:
                ours.append(measure(stage, feeds[events].whole, settings).events_per_second)
            for peer, processes in ((peer, count) for peer in PEERS for count in PROCESSES if peer not in failures):
                try:
                    rate = feeds[sizes[peer]].measure(peer, processes)
                except (RuntimeError, OSError) as error:
                    failures[peer] = error
                else:
                    rates.setdefault((peer, processes), []).append(rate)
    conditions = f"the same work, outputs equal; {describe(feeds[events].whole)}; median of {runs} runs in turns"
    yield Figure("peers.earshot", median(ours), RATE, f"one worker, full schema; {conditions}")
    for peer in (peer for peer in PEERS if peer not in failures):
        theirs = {processes: median(rates[peer, processes]) for processes in PROCESSES}
        processes, best = max(theirs.items(), key=lambda item: item[1])
        tried = ", ".join(f"{rate:,.0f} with {count}" for count, rate in theirs.items())
        note = (
            f"{version_of(peer)}, {processes} process{'es' * (processes > 1)} ({tried}), {sizes[peer]:,} events; {conditions}"
        )
        yield Figure(f"peers.{peer}_ratio", median(ours) / best, RATIO, note)
        yield Figure(f"peers.{peer}", best, RATE, note)
    if failures:
        raise RuntimeError("; ".join(f"{peer}: {error}" for peer, error in failures.items()))


class Feed:
    """The same events in one topic of 8 partitions and, for two processes, in two of 4; and what the worker makes of them."""

    def __init__(self, stage: Ground, events: int, kept: ExitStack) -> None:
        self._stage = stage
        self.whole = stage.topic(events)
        self._halves = [stage.settings(f"half{half}-{events}", PARTITIONS // 2, "default") for half in range(2)]
        self._split()
        # Also the warm-up of the broker and the database.
        self._reference = kept.enter_context(stage.run(self.whole))
        measure(stage, self.whole, self._reference)

    def _split(self) -> None:
        for half in self._halves:
            migrate(half)
        with producing(self._halves[0]) as first, producing(self._halves[1]) as second:
            for record in bar.track(self.whole.load(), self.whole.events, "filling two topics"):
                (second if zlib.crc32(record.key) & 1 else first)(record)

    def measure(self, peer: str, processes: int) -> float:
        """Events a second. Raises RuntimeError when the peer fails, stops, or writes anything else than the worker."""
        topics = [half.kafka.topic("events") for half in self._halves]
        if processes == 1:
            topics = [self.whole.settings.kafka.topic("events")]
        with self._stage.run(self.whole) as settings, clickhouse_client(settings.clickhouse) as client:
            with Processes(peer, settings, topics, self._stage.folder) as running:
                for _ in wait_for_rows(client, self.whole.distinct):
                    running.check()
                seconds = time.monotonic() - running.started
            ours = f"{self._reference.clickhouse.database}.interactions"
            if found := differences(client, ours, f"{settings.clickhouse.database}.interactions"):
                raise RuntimeError(f"{peer} has other rows than the worker: {'; '.join(found)}")
        return self.whole.events / seconds


class Processes:
    """The peer's processes, one a topic; they begin together, when all have imported what they need."""

    def __init__(self, peer: str, settings: Settings, topics: Sequence[str], folder: Path) -> None:
        python, app = python_of(peer), APPS / f"with_{peer}.py"
        self._begun: dict[int, float] = {}
        self._ready = threading.Barrier(len(topics) + 1)
        self._running: list[subprocess.Popen[str]] = []
        self._errors = (folder / f"{peer}.log").open("w+")
        for number, topic in enumerate(topics):
            job = json.dumps(_job(settings, topic, f"{peer}-{settings.kafka.group}-{number}"))
            command: list[Any] = [python, app, job]
            secrets = {"CLICKHOUSE_PASSWORD": settings.clickhouse.password.get_secret_value()}
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=folder,
                env=os.environ | secrets,
                text=True,
            )
            self._running.append(process)
            threading.Thread(target=self._follow, args=(number, process), daemon=True).start()

    @property
    def started(self) -> float:
        """When the first of them had its first record in hand."""
        return min(self._begun.values())

    def _follow(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                self._ready.wait()
            elif line.startswith("reading "):
                self._begun[number] = float(line.split()[1])

    def check(self) -> None:
        """Raises RuntimeError when one of them ended with an error."""
        if codes := [code for process in self._running if (code := process.poll())]:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise RuntimeError(f"a process ended with exit code {codes[0]}: {' '.join(last)}")

    def __enter__(self) -> Processes:
        try:
            self._ready.wait(PATIENCE_S)
            for process in self._running:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
        except threading.BrokenBarrierError:
            self.__exit__()
            raise RuntimeError("a process did not start") from None
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait()
        self._errors.close()


def _job(settings: Settings, topic: str, group: str) -> dict[str, Any]:
    clickhouse = urlsplit(settings.clickhouse.url)
    terms = [(word, brand.name) for brand in load.brands().brands for word in (*brand.keywords, *brand.handles)]
    return {
        "bootstrap": settings.kafka.bootstrap,
        "topic": topic,
        "group": group,
        "clickhouse_host": clickhouse.hostname,
        "clickhouse_port": clickhouse.port,
        "database": settings.clickhouse.database,
        "terms": terms,
    }
