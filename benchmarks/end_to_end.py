"""End to end: events a second from a filled topic into ClickHouse, and what they cost each process.

The topic is filled with the standard load (480 bytes, 8 partitions, 20 brands with 200 keywords, a fifth mention one, a tenth
are duplicates) before one worker starts. The clock runs from the moment when the worker begins to read to the last row that
another client sees in the table; duplicates count as events. Kafka, ClickHouse and the worker share two cores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.ground import Ground, Topic, Worker, ground, peak_mb, wait_for_rows
from benchmarks.report import CPU, RATE, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("end_to_end.throughput", "end_to_end.cpu_worker", "end_to_end.cpu_kafka", "end_to_end.cpu_clickhouse")


@dataclass(frozen=True, slots=True)
class Run:
    """What one worker did with a topic."""

    events_per_second: float
    cpu_per_million: dict[str, float]
    peak_mb: float


def figures(events: int, runs: int) -> Iterator[Figure]:
    with ground() as stage:
        topic = stage.topic(events)
        done = []
        for _ in range(runs):
            with stage.run(topic) as settings:
                done.append(measure(stage, topic, settings))
    conditions = f"{describe(topic)}; one worker, full schema; median of {runs} runs"
    yield Figure(NAMES[0], median(run.events_per_second for run in done), RATE, conditions)
    for name in NAMES[1:]:
        process = name.rpartition("_")[2]
        yield Figure(name, median(run.cpu_per_million[process] for run in done), CPU, conditions)


def describe(topic: Topic) -> str:
    return f"{topic.events:,} events of {topic.bytes:.0f} bytes in {topic.settings.kafka.partitions} partitions"


def measure(stage: Ground, topic: Topic, settings: Settings) -> Run:
    """One worker reads the whole topic. Raises RuntimeError when, without labels, other than all rows have landed."""
    with Worker(settings) as worker:
        worker.wait_until_it_reads()
        before = stage.cpu_seconds(worker.pid)
        with clickhouse_client(settings.clickhouse) as client:
            rows = list(wait_for_rows(client, topic.distinct))[-1]
        seconds = time.monotonic() - worker.started
        cost = {name: spent - before[name] for name, spent in stage.cpu_seconds(worker.pid).items()}
        peak = peak_mb(worker.pid)
    if stage.model == "off" and rows != topic.distinct:
        raise RuntimeError(f"{rows} rows have landed, the topic holds {topic.distinct} events")
    return Run(topic.events / seconds, {name: spent / topic.events * 1e6 for name, spent in cost.items()}, peak)
