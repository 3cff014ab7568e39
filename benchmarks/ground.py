"""What the end-to-end measurements stand on: the embedded stack in a temporary folder, filled topics, and workers.

The broker is Apache Kafka, never the light one. A topic is filled once and read by many runs, each with a consumer group and
a database of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import yaml
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer
from pydantic import SecretStr

from benchmarks.progress import bar
from benchmarks.standard import Record, standard_brands, standard_load
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import EmbeddedSettings, KafkaSettings, PrivacySettings, SentimentSettings, Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate

PARTITIONS = 8
SEED = 1
DATA_KEY = "0123456789abcdef" * 4
PATIENCE_S = 300.0
LOOK_S = 0.02
"""Between two looks at a table: it bounds what the measure itself adds to a time."""
ROWS_LOOK_S = 0.1
"""The same where the time is tens of seconds: 50 looks a second cost ClickHouse 0.9 CPU s in a run of a million events."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic filled with the standard load, its texts longer by `more` pieces: how many records, how many different events,
    and how many bytes each."""

    settings: Settings
    start: datetime
    events: int
    distinct: int
    bytes: float
    more: int = 0

    def load(self) -> Iterator[Record]:
        """What is in it."""
        return standard_load(self.events, SEED, self.start, rate=1_000, more=self.more)


class Ground:
    """A running stack; `topic` fills a topic, `run` gives the settings of a run that reads it from its beginning."""

    def __init__(self, stack: Stack, folder: Path, model: str) -> None:
        self.stack = stack
        self.model = model
        self.folder = folder
        self._brands = folder / "brands.yaml"
        self._brands.write_text(yaml.safe_dump(standard_brands()))
        self._runs = 0

    def topic(self, events: int, partitions: int = PARTITIONS, more: int = 0) -> Topic:
        settings = self.settings(f"standard{partitions}-{events}-{more}", partitions, "default")
        topic = Topic(settings, datetime.now(UTC) - timedelta(hours=2), events, 0, 0, more)
        migrate(settings)
        keys, size = set(), 0
        with producing(settings) as produce:
            for record in bar.track(topic.load(), events, f"filling {partitions} partitions"):
                keys.add(record.key)
                size += len(record.value)
                produce(record)
        return replace(topic, distinct=len(keys), bytes=size / events)

    @contextmanager
    def run(self, topic: Topic) -> Iterator[Settings]:
        """Settings to read the topic from its beginning into a database of its own, which is dropped at the end."""
        self._runs += 1
        kafka = topic.settings.kafka
        settings = self.settings(kafka.topic_prefix, kafka.partitions, f"run_{self._runs}")
        with clickhouse_client(topic.settings.clickhouse) as client:
            client.command(f"CREATE DATABASE {settings.clickhouse.database}")
            migrate(settings)
            yield settings
            client.command(f"DROP DATABASE {settings.clickhouse.database} SYNC")

    def cpu_seconds(self, worker: int) -> dict[str, float]:
        pids = {"worker": worker, "kafka": self.stack.pid("kafka"), "clickhouse": self.stack.pid("clickhouse")}
        return {name: cpu_seconds(pid) for name, pid in pids.items()}

    def settings(self, prefix: str, partitions: int, run: str) -> Settings:
        return Settings(
            kafka=KafkaSettings(bootstrap=self.stack.bootstrap, partitions=partitions, topic_prefix=prefix, group=run),
            clickhouse=self.stack.clickhouse.model_copy(update={"database": run}),
            sentiment=SentimentSettings(model=self.model),
            brands=self._brands,
        )


@contextmanager
def ground(model: str = "off") -> Iterator[Ground]:
    """Starts the embedded stack, and stops it; its workers label with `model`. Raises StackError when it can't be had."""
    with tempfile.TemporaryDirectory(prefix="earshot-benchmark-") as folder:
        embedded = EmbeddedSettings(data_dir=Path(folder) / "data", broker="kafka", kafka_port=0, clickhouse_port=0)
        with Stack(embedded) as stack:
            yield Ground(stack, Path(folder), model)


@contextmanager
def producing(settings: Settings, **config: Any) -> Iterator[Any]:
    """A function that produces a record, whatever the queue holds. Raises RuntimeError when not all was acknowledged."""
    options = {"enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4", "log_level": 3}
    producer, topic = Producer({**settings.kafka.client(), **options, **config}), settings.kafka.topic("events")

    def produce(record: Record) -> None:
        while True:
            try:
                return producer.produce(topic, record.value, record.key)
            except BufferError:
                producer.poll(0.1)

    yield produce
    if producer.flush(120):
        raise RuntimeError("the topic could not be filled")


class Worker:
    """A worker process; `started` is when it said that it reads: partitions are assigned and seeded, nothing is fetched yet."""

    def __init__(self, settings: Settings, port: int = 0) -> None:
        """`port`: where it tells how it is; 0: any."""
        given = settings.model_copy(
            update={
                "worker": settings.worker.model_copy(update={"health_port": port}),
                "privacy": PrivacySettings(hash_key=SecretStr("benchmark"), data_key=SecretStr(DATA_KEY)),
            }
        )
        command = [sys.executable, "-m", "pipeline.cli", "worker"]
        self.process = subprocess.Popen(command, env=child_environment(given), stderr=subprocess.PIPE, text=True)
        self.started = 0.0
        self._reads = threading.Event()
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_it_reads(self) -> None:
        """Returns when the worker reads. Raises RuntimeError with its last line when it does not."""
        if not self._reads.wait(PATIENCE_S) or not self.started:
            raise RuntimeError(f"the worker read nothing: {self._lines[-1:] or 'it said nothing'}")

    def _follow(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self._read(lines)
        self._reads.set()

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            if not self.started and " reading " in line:
                self.started = time.monotonic()
                self._reads.set()
            elif "INFO" not in line:
                self._lines = [*self._lines[-20:], line.rstrip()]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join()


_ROWS = "SELECT count() FROM interactions"
"""Cheap: 0.7 ms over 900,000 rows, where a condition on a column takes 13."""
_MERGES = "SELECT count() FROM system.merges"
_EVENTS = "SELECT uniqExact(event_key) FROM interactions"
"""Right with labels, too: each that comes later is another row of its event, and a merge leaves the newest of them."""


def wait_for_rows(client: Client, wanted: int) -> Iterator[int]:
    """Looks until `wanted` events have landed, yielding how many rows there are; events are counted once there may be enough.

    Raises RuntimeError when none come any more.
    """
    rows, events, last = -1, 0, time.monotonic()
    with bar.task("rows that landed", wanted) as advance:
        while events < wanted:
            before, rows = rows, int(str(client.command(_ROWS)))
            if rows >= wanted:
                events = int(str(client.command(_EVENTS)))
            if rows != before:
                last = time.monotonic()
                advance(rows)
            if time.monotonic() - last > 60:
                raise RuntimeError(f"for a minute no row has come: {rows} of {wanted} are there")
            yield rows
            time.sleep(ROWS_LOOK_S)


def wait_for_merges(client: Client) -> None:
    """Returns when the server has merged nothing for a second: what it owed for the rows that have landed is done.

    Raises RuntimeError when it does not end.
    """
    began = quiet = time.monotonic()
    while time.monotonic() - quiet < 1:
        time.sleep(ROWS_LOOK_S)
        if int(str(client.command(_MERGES))):
            quiet = time.monotonic()
        if time.monotonic() - began > PATIENCE_S:
            raise RuntimeError("the merges do not end")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    process = psutil.Process(pid)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def peak_mb(pid: int) -> float:
    """The most that was ever resident (Linux), else what is now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resident_mb(pid)
