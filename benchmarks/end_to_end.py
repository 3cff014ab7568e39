"""End to end: events a second from a filled topic into ClickHouse, and what they cost each process.

The topic is filled with the standard load (480 bytes, 8 partitions, 20 brands with 200 keywords, a fifth mention one, a tenth
are duplicates) before one worker starts. The clock runs from the moment when the worker begins to read to the last row that
another client sees in the table; duplicates count as events. Kafka, ClickHouse and the worker share two cores.

The CPU time of the three is taken twice: at that last row, and when ClickHouse merges nothing any more. What it spent in
between is `cpu_owed`: work for these events that a clock which stops at the last row would not see. `cpu_total` has it.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.ground import Ground, Topic, Worker, cpu_seconds, ground, peak_mb, wait_for_merges, wait_for_rows
from benchmarks.report import CPU, RATE, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port

COSTS = ("total", "worker", "kafka", "clickhouse", "owed")
NAMES = ("end_to_end.throughput", *(f"end_to_end.cpu_{name}" for name in COSTS))


@dataclass(frozen=True, slots=True)
class Run:
    """What one worker did with a topic."""

    events_per_second: float
    cpu_per_million: dict[str, float]
    """By COSTS."""
    steps: dict[str, float]
    """Of the worker's: on the steps' own threads, in their order."""
    peak_mb: float


def figures(events: int, runs: int) -> Iterator[Figure]:
    with ground() as stage:
        topic = stage.topic(events)
        done = []
        for _ in range(runs):
            with stage.run(topic) as settings:
                done.append(measure(stage, topic, settings))
    steps = ", ".join(f"{name} {median(run.steps[name] for run in done):.2f}" for name in done[0].steps)
    conditions = f"{describe(topic)}; one worker, full schema; median of {runs} runs; steps of the worker alone: {steps}"
    yield Figure(NAMES[0], median(run.events_per_second for run in done), RATE, conditions)
    for name in COSTS:
        yield Figure(f"end_to_end.cpu_{name}", median(run.cpu_per_million[name] for run in done), CPU, conditions)


def describe(topic: Topic) -> str:
    return f"{topic.events:,} events of {topic.bytes:.0f} bytes in {topic.settings.kafka.partitions} partitions"


def measure(stage: Ground, topic: Topic, settings: Settings) -> Run:
    """One worker reads the whole topic. Raises RuntimeError when, without labels, other than all rows have landed."""
    port = free_port()
    with Worker(settings, port) as worker:
        worker.wait_until_it_reads()
        before = stage.cpu_seconds(worker.pid)
        with clickhouse_client(settings.clickhouse) as client:
            rows = list(wait_for_rows(client, topic.distinct))[-1]
            seconds = time.monotonic() - worker.started
            after, steps = stage.cpu_seconds(worker.pid), step_seconds(port)
            cost = {name: spent - before[name] for name, spent in after.items()}
            wait_for_merges(client)
            cost["owed"] = cpu_seconds(stage.stack.pid("clickhouse")) - after["clickhouse"]
        cost["total"] = sum(cost.values())
        peak = peak_mb(worker.pid)
    if stage.model == "off" and rows != topic.distinct:
        raise RuntimeError(f"{rows} rows have landed, the topic holds {topic.distinct} events")
    cost, steps = ({name: spent / topic.events * 1e6 for name, spent in each.items()} for each in (cost, steps))
    return Run(topic.events / seconds, cost, steps, peak)


def step_seconds(port: int) -> dict[str, float]:
    """CPU seconds of each step so far, as the worker counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return {each.labels["step"]: each.value for each in samples if each.name == "earshot_step_cpu_seconds_total"}
