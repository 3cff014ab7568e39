"""Each named query over many interactions, 50 times, beside a stream of events and after it: the slowest counts.

A query that takes brands is asked about the one of median and the one of largest volume; each of its other parameters has its
default, so it is about the last 30 days. Time: from the call until the answer is a frame, as `earshot query` reads it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from benchmarks.alerts import Control, rules_file
from benchmarks.branded import streaming
from benchmarks.ground import Worker, ground
from benchmarks.identity_tables import database
from benchmarks.progress import bar
from benchmarks.query_tables import BRANDS, YEARS, Size, brand, fill, roll_up
from benchmarks.report import MS, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import frame, settings_for
from pipeline.config.settings import Settings
from pipeline.queries.named import values_of
from pipeline.queries.timeline import timeline
from schemas.identity import account_key
from schemas.queries import NamedQuery, named_queries

NAMES = ("queries.worst_median_ms", "queries.worst_p95_ms", "queries.years_median_ms", "queries.bytes_per_row")
RUNS, RATE = 50, 2_000
LONGEST = 3
"""Runs end after so many times the time that they are meant to take, and the figure says how many there were."""
LARGEST, MEDIAN = 1, BRANDS // 2
YEARS_OF = ("volume", "sentiment")
BYTES = "bytes"


@dataclass(slots=True)
class Case:
    """A call, and how many milliseconds it took."""

    name: str
    years: bool
    call: Callable[[Client], object]
    took: dict[str, list[float]] = field(default_factory=dict)
    """By phase."""

    def run(self, client: Client, phase: str) -> None:
        started = time.perf_counter()
        self.call(client)
        self.took.setdefault(phase, []).append((time.perf_counter() - started) * 1000)

    def worst(self, percent: float) -> float:
        """Of the phases."""
        return max(float(np.percentile(times, percent)) for times in self.took.values())


def figures(rows: int, seconds: int) -> Iterator[Figure]:
    size = Size(rows)
    with ground() as stage, database(stage, "queries") as plain, clickhouse_client(plain.clickhouse) as client:
        fill(client, size)
        roll_up(client, size)
        settle(client)
        disk = _disk(client)
        asked = cases()
        settings = plain.model_copy(update={"alerts": rules_file(stage.folder, None)})
        with _streaming(settings):
            during = _rounds(client, asked, f"beside {RATE:,} rows/s", seconds)
        after = _rounds(client, asked, "after", seconds)
    runs = f"{during} runs beside {RATE:,} rows/s, control and its rollups, {after} after, the worse counts"
    sizes = f"{rows:,} interactions in {size.span.days} days, {BRANDS} brands, {size.accounts:,} accounts, {size.links:,} links"
    conditions = f"{sizes}; {runs}"
    month, years = ([case for case in asked if case.years is long] for long in (False, True))
    for name, percent, which in ((NAMES[0], 50, month), (NAMES[1], 95, month), (NAMES[2], 50, years)):
        yield _worst(name, percent, which, conditions)
    each = ", ".join(f"{table} {taken / rows:.1f}" for table, taken in disk.items())
    yield Figure(NAMES[3], sum(disk.values()) / rows, BYTES, f"on disk for each interaction: {each}; {conditions}")


def _worst(name: str, percent: int, cases: Sequence[Case], conditions: str) -> Figure:
    slow = sorted(cases, key=lambda case: -case.worst(percent))
    each = ", ".join(f"{case.name} {case.worst(percent):,.0f}" for case in slow)
    return Figure(name, slow[0].worst(percent), MS, f"{each}; {conditions}")


# --- what is asked ----------------------------------------------------------------------------------------------------
def cases() -> list[Case]:
    """Of all named queries."""
    asked = [case for query in named_queries().values() for case in _of(query)]
    key = account_key("twitter", "0")  # of those who write most
    return [*asked, Case("timeline", False, lambda client: timeline(client, key, 200))]


def _of(query: NamedQuery) -> Iterator[Case]:
    names = {each.name for each in query.parameters}
    for what, rank in (("largest", LARGEST), ("median", MEDIAN)) if "brand" in names else (("", 0),):
        given = {"brand": [brand(rank)]} if rank else {}
        if "panel" in names:
            given["panel"] = [brand(each) for each in range(rank + 1, rank + 5)]
        label = f"{query.name} {what}".strip()
        yield Case(label, False, partial(_ask, query, given))
        if query.name in YEARS_OF:
            yield Case(label, True, partial(_ask, query, {**given, "from": [f"{YEARS.days}d"]}))


def _ask(query: NamedQuery, given: dict[str, list[str]], client: Client) -> None:
    frame(client, query.sql, values_of(query, given, datetime.now(UTC)), settings_for(client))


def _rounds(client: Client, cases: Sequence[Case], phase: str, seconds: int) -> int:
    """Each case once a round, the rounds spread over so many seconds; how many rounds there were."""
    started = time.monotonic()
    for number in bar.track(range(RUNS), RUNS, f"queries {phase}: rounds"):
        late = time.monotonic() - started
        if number and late > LONGEST * seconds:
            return number
        time.sleep(max(0.0, number * seconds / RUNS - late))
        for case in cases:
            case.run(client, phase)
    return RUNS


# --- what they run beside ---------------------------------------------------------------------------------------------
@contextmanager
def _streaming(settings: Settings) -> Iterator[None]:
    """A worker, control, and RATE rows a second, until the end of the block."""
    begin_rollups(settings)
    with Worker(settings) as worker, Control(settings):
        worker.wait_until_it_reads()
        with streaming(settings, RATE):
            yield


def begin_rollups(settings: Settings) -> None:
    """The job has heard all signals, of which there is none: else it would fill its tables once more."""
    consumer = Consumer({**settings.kafka.client(), "group.id": f"{settings.kafka.group}-rollups", "log_level": 3})
    try:
        consumer.commit(offsets=[TopicPartition(settings.kafka.topic("signals"), 0, 0)], asynchronous=False)
    finally:
        consumer.close()


def settle(client: Client) -> None:
    """Waits until nothing is merged."""
    while client.command("SELECT count() FROM system.merges"):
        time.sleep(0.5)


def _disk(client: Client) -> dict[str, int]:
    """Bytes of each table, the largest first."""
    sql = (
        "SELECT table, sum(bytes_on_disk) AS taken FROM system.parts WHERE active AND database = currentDatabase() "
        "GROUP BY table HAVING taken > 1000000 ORDER BY taken DESC"
    )
    return {table: int(taken) for table, taken in client.query(sql).result_rows}
