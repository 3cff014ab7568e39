"""What must not cost more when there is more of it: keys that were seen, and partitions. And what a seen key costs in memory.

Both are ratios of runs in turns: events a second at 20,000,000 seen keys over that at 1,000,000, with all steps of the hot
path; and events a second from 64 partitions over that from 1, end to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from benchmarks import load
from benchmarks.end_to_end import measure
from benchmarks.ground import ground
from benchmarks.progress import bar
from benchmarks.report import RATE, RATIO, Figure
from benchmarks.steps import DAY_S, hot_path
from pipeline.processors.dedup import RevisionIndex
from pipeline.processors.keys import KeySet

BYTES_NAME = "dedup.bytes_per_key"
KEYS_NAMES = ("scaling.keys_ratio", "scaling.keys_few", "scaling.keys_many")
PARTITIONS_NAMES = ("scaling.partitions_ratio", "scaling.partitions_1", "scaling.partitions_64")
CHUNK = 30_000
FEW_PARTITIONS, MANY_PARTITIONS = 1, 64


def keys_figures(events: int, passes: int, few: int, many: int) -> Iterator[Figure]:
    """The larger set is filled once and keeps its size, since its oldest keys leave; the smaller one is made anew each time."""
    values, brands = load.records(events), load.brands()
    full = filled(many, many)
    size = full.nbytes() / (many // CHUNK * CHUNK)
    yield Figure(BYTES_NAME, size, "bytes", f"a revision and the key of its event, {many:,} of each, random")
    rates: dict[int, list[float]] = {few: [], many: []}
    for number in bar.track(range(passes), passes, "seen keys: passes"):
        fresh = load.renewed(values, number)
        for keys, seen in ((few, filled(few, many)), (many, full)):
            rates[keys].append(hot_path(fresh, seen, brands).rate)
    conditions = f"decode, dedup, mentions; {events:,} new events beside {few:,} and {many:,} keys; median of {passes} passes"
    yield from _compare(KEYS_NAMES, rates[few], rates[many], conditions)


def filled(keys: int, limit: int) -> RevisionIndex:
    """Random revisions and as many events, added as batches are."""
    random, seen = np.random.default_rng(keys), RevisionIndex(KeySet(limit, DAY_S))
    for _ in bar.track(range(keys // CHUNK), keys // CHUNK, f"remembering {keys:,} keys: batches"):
        seen.seed(*(random.integers(1, 1 << 64, CHUNK, dtype=np.uint64) for _ in range(2)))
    return seen


def partitions_figures(events: int, runs: int) -> Iterator[Figure]:
    with ground() as stage:
        topics = {count: stage.topic(events, count) for count in (FEW_PARTITIONS, MANY_PARTITIONS)}
        rates: dict[int, list[float]] = {count: [] for count in topics}
        for _ in range(runs):
            for count, topic in topics.items():
                with stage.run(topic) as settings:
                    rates[count].append(measure(stage, topic, settings).events_per_second)
    conditions = (
        f"{events:,} events from {FEW_PARTITIONS} and from {MANY_PARTITIONS} partitions, one worker; median of {runs} runs"
    )
    yield from _compare(PARTITIONS_NAMES, rates[FEW_PARTITIONS], rates[MANY_PARTITIONS], conditions)


def _compare(names: tuple[str, str, str], few: list[float], many: list[float], conditions: str) -> Iterator[Figure]:
    """The ratio is the median of the ratios of runs that followed each other."""
    yield Figure(names[0], median(m / f for f, m in zip(few, many, strict=True)), RATIO, conditions)
    yield Figure(names[1], median(few), RATE, conditions)
    yield Figure(names[2], median(many), RATE, conditions)
