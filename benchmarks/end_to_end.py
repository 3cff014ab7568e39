"""End to end, on one machine: events a second from a filled topic into ClickHouse, then the time from produce to visible.

`python -m benchmarks.end_to_end` starts the embedded stack (Apache Kafka, never the light broker) in a temporary folder, fills
a topic of 8 partitions with the standard load (480 bytes, 20 brands with 200 keywords, a fifth mention one, a tenth are
duplicates) and only then starts one worker:

- throughput: from the worker's first read to the last row that another client sees in the table; duplicates count as events.
- latency: at a steady rate, from the call that produces an event to the first SELECT of another client that returns its row.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import clickhouse_connect
import numpy as np
import psutil
import typer
import yaml
from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaError, Message, Producer
from rich.console import Console
from rich.table import Table

from benchmarks.standard import Record, standard_brands, standard_load
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from pipeline.settings import ClickHouseSettings, EmbeddedSettings, KafkaSettings, Settings

PARTITIONS = 8
POLL_S = 0.02
"""Between two looks at the table: it bounds what the measure adds to a latency."""
PATIENCE_S = 300.0
console = Console()


@dataclass(frozen=True)
class Throughput:
    events: int
    rows: int
    seconds: float
    events_per_second: float
    cpu_seconds: dict[str, float]
    worker_peak_mb: float


@dataclass(frozen=True)
class Latency:
    rate: int
    events: int
    rows: int
    missing: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def main(
    events: Annotated[int, typer.Option(help="Events in the topic before the clock starts.")] = 1_000_000,
    rate: Annotated[int, typer.Option(help="Events a second while the latency is measured.")] = 2_000,
    seconds: Annotated[int, typer.Option(help="How long the latency is measured; 0: not at all.")] = 60,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """Measures the pipeline end to end. Example: python -m benchmarks.end_to_end --events 500000 --seconds 20"""
    with tempfile.TemporaryDirectory(prefix="earshot-benchmark-") as folder, _stack(Path(folder)) as (stack, settings):
        distinct = fill(settings, events)
        with Worker(settings) as worker:
            throughput = measure_throughput(settings, worker, stack, events, distinct)
            latency = measure_latency(settings, rate, seconds) if seconds else None
    show(throughput, latency)
    if json_file:
        figures = {"throughput": asdict(throughput), "latency": asdict(latency) if latency else None}
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


# --- what is measured -----------------------------------------------------------------------------------------------
@contextmanager
def _stack(folder: Path) -> Iterator[tuple[Stack, Settings]]:
    brands = folder / "brands.yaml"
    brands.write_text(yaml.safe_dump(standard_brands()))
    embedded = EmbeddedSettings(data_dir=folder / "data", broker="kafka", kafka_port=0, clickhouse_port=0)
    with Stack(embedded) as stack:
        settings = Settings(
            kafka=KafkaSettings(bootstrap=stack.bootstrap, partitions=PARTITIONS),
            clickhouse=ClickHouseSettings(url=stack.clickhouse_url),
            embedded=embedded,
            brands=brands,
        )
        migrate(settings)
        yield stack, settings


class Worker:
    """A worker process; `started` is when it said that it read its first batch."""

    def __init__(self, settings: Settings) -> None:
        environment = os.environ | {
            "EARSHOT_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
            "EARSHOT_CLICKHOUSE__URL": settings.clickhouse.url,
            "EARSHOT_WORKER__HEALTH_PORT": "0",
            "EARSHOT_BRANDS": str(settings.brands),
            "EARSHOT_PRIVACY__HASH_KEY": "benchmark",
        }
        command = [sys.executable, "-m", "pipeline.cli", "worker"]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.first_read = threading.Event()
        self.started = 0.0
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def _follow(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if not self.first_read.is_set() and " read rows=" in line:
                self.started = time.monotonic()
                self.first_read.set()
            elif "ERROR" in line or "Traceback" in line:
                console.print(line.rstrip(), style="red")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join()


def connect(settings: Settings) -> Client:
    return clickhouse_connect.get_client(dsn=settings.clickhouse.url, autogenerate_session_id=False)


# --- throughput -----------------------------------------------------------------------------------------------------
def fill(settings: Settings, count: int) -> int:
    """Produces the standard load; returns how many distinct events it holds."""
    start = datetime.now(UTC) - timedelta(hours=2)
    producer, topic = _producer(settings), settings.kafka.topic("events")
    keys: set[bytes | None] = set()
    for number, record in enumerate(standard_load(count, 1, start, rate=1_000)):
        keys.add(record.key)
        while True:
            try:
                producer.produce(topic, record.value, record.key)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0, "the topic could not be filled"
    return len(keys)


def _producer(settings: Settings) -> Producer:
    return Producer(
        {**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4", "log_level": 3}
    )


def measure_throughput(settings: Settings, worker: Worker, stack: Stack, events: int, distinct: int) -> Throughput:
    processes = {"worker": worker.process.pid, "kafka": stack.pid("kafka"), "clickhouse": stack.pid("clickhouse")}
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    assert worker.first_read.wait(PATIENCE_S), "the worker read nothing"
    with connect(settings) as client:
        rows = _wait_for_rows(client, distinct)
    seconds = time.monotonic() - worker.started
    return Throughput(
        events=events,
        rows=rows,
        seconds=seconds,
        events_per_second=events / seconds,
        cpu_seconds={name: cpu_seconds(pid) - before[name] for name, pid in processes.items()},
        worker_peak_mb=peak_mb(worker.process.pid),
    )


def _wait_for_rows(client: Client, wanted: int) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while (rows := int(str(client.command("SELECT count() FROM interactions")))) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"after {PATIENCE_S:.0f} s only {rows} of {wanted} rows have landed")
        time.sleep(POLL_S)
    return rows


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    process = psutil.Process(pid)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def peak_mb(pid: int) -> float:
    """The most that was ever resident (Linux), else what is now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


# --- latency --------------------------------------------------------------------------------------------------------
class Sightings(threading.Thread):
    """Another client: asks again and again for the rows that it has not seen yet, and notes when each came."""

    def __init__(self, settings: Settings, since: datetime) -> None:
        super().__init__(name="sightings")
        self.seen: dict[tuple[int, int], float] = {}
        self._client = connect(settings)
        self._since = f"{since:%Y-%m-%d %H:%M:%S}"
        self._newest = [self._end(partition) for partition in range(PARTITIONS)]
        self._ended = threading.Event()

    def _end(self, partition: int) -> int:
        return int(str(self._client.command(f"SELECT max(offset) FROM interactions WHERE partition = {partition}")))

    def run(self) -> None:
        while not self._ended.wait(POLL_S):
            # What came out of order stays unseen and is counted as missing.
            rows = self._client.query(
                f"SELECT partition, offset FROM interactions WHERE created_at >= toDateTime64('{self._since}', 3, 'UTC') "
                f"AND offset > arrayElement({self._newest}, partition + 1)"
            ).result_rows
            now = time.monotonic()
            for partition, offset in rows:
                self.seen[partition, offset] = now
                self._newest[partition] = max(self._newest[partition], offset)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._client.close()


def measure_latency(settings: Settings, rate: int, seconds: int) -> Latency:
    start = datetime.now(UTC)
    records = list(standard_load(rate * seconds, 2, start, rate=rate))
    sightings = Sightings(settings, start - timedelta(seconds=1))
    sightings.start()
    sent = produce_at(settings, records, rate)
    deadline = time.monotonic() + 10
    while len(sightings.seen) < len(sent) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    sightings.stop()
    found = np.array([sightings.seen[at] - when for at, when in sent.items() if at in sightings.seen]) * 1000
    return Latency(
        rate=rate,
        events=len(records),
        rows=len(found),
        missing=len(sent) - len(found),
        p50_ms=float(np.percentile(found, 50)),
        p99_ms=float(np.percentile(found, 99)),
        max_ms=float(found.max()),
    )


def produce_at(settings: Settings, records: list[Record], rate: int) -> dict[tuple[int, int], float]:
    """Produces at a steady rate; for the first delivery of each event, its position and when it was handed over."""
    producer, topic = _producer(settings), settings.kafka.topic("events")
    sent: dict[tuple[int, int], float] = {}
    known: set[bytes | None] = set()
    started = time.monotonic()
    for number, record in enumerate(records):
        due = started + number / rate
        while (left := due - time.monotonic()) > 0:
            producer.poll(min(left, 0.005))
        first, now = record.key not in known, time.monotonic()
        known.add(record.key)

        def delivered(error: KafkaError | None, message: Message, first: bool = first, now: float = now) -> None:
            assert error is None, error
            if first:
                sent[message.partition() or 0, message.offset() or 0] = now

        producer.produce(topic, record.value, record.key, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0, "not everything was acknowledged"
    return sent


# --- what is shown --------------------------------------------------------------------------------------------------
def show(throughput: Throughput, latency: Latency | None) -> None:
    table = Table("measure", "value", title="End to end", title_justify="left")
    table.add_row("events in the topic", f"{throughput.events:,}")
    table.add_row("rows landed", f"{throughput.rows:,}")
    table.add_row("seconds", f"{throughput.seconds:.1f}")
    table.add_row("events a second", f"{throughput.events_per_second:,.0f}")
    for name, seconds in throughput.cpu_seconds.items():
        table.add_row(f"CPU seconds, {name}", f"{seconds:.1f}")
    table.add_row("worker's peak memory", f"{throughput.worker_peak_mb:.0f} MB")
    if latency:
        table.add_row(
            f"visible after, at {latency.rate:,} events/s", f"p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms"
        )
        table.add_row(
            "slowest; never seen", f"{latency.max_ms:.0f} ms; {latency.missing} of {latency.rows + latency.missing:,}"
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
