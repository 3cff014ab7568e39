"""Memory: how much a worker keeps resident while millions of events pass through it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.end_to_end import describe
from benchmarks.ground import Worker, ground, peak_mb, resident_mb, wait_for_rows
from benchmarks.report import MB, Figure
from pipeline.clickhouse.client import clickhouse_client

NAMES = ("worker.rss_mb", "worker.rss_growth_mb")


def figures(events: int) -> Iterator[Figure]:
    """The peak, and what the last fifth added: medians of what was resident in the fourth and in the last fifth."""
    with ground() as stage:
        topic = stage.topic(events)
        resident: list[tuple[float, float]] = []
        with stage.run(topic) as settings, Worker(settings) as worker, clickhouse_client(settings.clickhouse) as client:
            worker.wait_until_it_reads()
            for rows in wait_for_rows(client, topic.distinct):
                resident.append((rows / topic.distinct, resident_mb(worker.pid)))
            peak = peak_mb(worker.pid)
    fourth, last = (
        [size for part, size in resident if low < part <= low + 0.2 and part < 1] or [resident[-1][1]] for low in (0.6, 0.8)
    )
    conditions = f"{describe(topic)} through one worker"
    yield Figure("worker.rss_mb", peak, MB, f"the most that was resident; {conditions}")
    growth = median(last) - median(fourth)
    yield Figure("worker.rss_growth_mb", growth, MB, f"median of the last fifth less that of the fourth; {conditions}")
