"""End to end with events of 1.5 KB, the size that GlassFlow publishes its figures for: a rate, also per core and in MB.

GlassFlow's figures are what its documentation says of other machines; nothing of GlassFlow runs here. What is and what isn't
comparable: docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.end_to_end import describe, measure
from benchmarks.ground import ground
from benchmarks.report import RATE, Figure

MORE = 14
"""Pieces of text, beside the standard load's two, that make an event 1,500 bytes."""
NAMES = ("large.throughput", "large.mb_per_s", "large.per_core", "large.mb_per_core")
THEIRS = (
    "GlassFlow says of other machines (docs.glassflow.dev/architecture/performance): 51,000 events/s of about 1.5 KB, "
    "77 MB/s, 11.6 cores without Kafka and ClickHouse, so 4,400 events/s and 6.6 MB/s per core; 510,000 events/s at the peak "
    "with 10 + 10 replicas, to which it gives 60 cores and NATS 72"
)


def figures(events: int, runs: int) -> Iterator[Figure]:
    with ground() as stage:
        topic = stage.topic(events, more=MORE)
        done = []
        for _ in range(runs):
            with stage.run(topic) as settings:
                done.append(measure(stage, topic, settings))
    rate = median(run.events_per_second for run in done)
    worker, total = (median(run.cpu_per_million[name] for run in done) for name in ("worker", "total"))
    conditions = (
        f"{describe(topic)}; one worker, full schema; median of {runs} runs; CPU s a million events: worker {worker:.1f}, "
        f"with Kafka and ClickHouse, merges to their end, {total:.1f}; a core is one that the worker keeps busy. {THEIRS}"
    )
    megabytes = topic.bytes / 1e6
    yield Figure("large.throughput", rate, RATE, conditions)
    yield Figure("large.mb_per_s", rate * megabytes, "MB/s", conditions)
    yield Figure("large.per_core", 1e6 / worker, "events/s/core", conditions)
    yield Figure("large.mb_per_core", 1e6 / worker * megabytes, "MB/s/core", conditions)
