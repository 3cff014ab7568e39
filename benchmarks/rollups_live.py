"""How far the running quarter-hour of table quarters is behind while events come, what the job takes, and how much later what
others wait for comes beside it.

Each event is about one of 200 brands, and new. Another client asks twice a second how many mentions the table has: if it has n,
the event that was sent as the next one is missing, so the table is as old as that event. What the worker and the insert take is
in it.

The job is off where another consumer of its group has the signals; all else of control goes on.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median

import numpy as np
from confluent_kafka import Consumer
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import alerts, visible
from benchmarks.alerts import Control, rules_file
from benchmarks.branded import stream
from benchmarks.ground import Worker, cpu_seconds, ground
from benchmarks.progress import bar
from benchmarks.query_tables import BRANDS
from benchmarks.report import RATIO, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("rollups.lag_s", "rollups.share")
BESIDE_NAMES = ("rollups.alerts_p99_ratio", "rollups.visible_p99_ratio")
LOOK_S, PATIENCE_S, REBALANCE_S = 0.5, 60.0, 20.0
Beside = Callable[[Settings], AbstractContextManager[object]]
_COUNTED = "SELECT sum(mentions) FROM quarters FINAL WHERE startsWith(brand, 'brand-')"


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    with ground() as stage, stage.run(stage.topic(1)) as plain:
        settings = plain.model_copy(update={"alerts": rules_file(stage.folder, None)})
        with Worker(settings) as worker, Control(settings) as control:
            worker.wait_until_it_reads()
            before, started = cpu_seconds(stage.stack.pid("clickhouse")), time.monotonic()
            lags, events = _lags(settings, rate, seconds)
            took = time.monotonic() - started
            cores = (cpu_seconds(stage.stack.pid("clickhouse")) - before) / took
            busy = statement_seconds(control.port)
    conditions = f"{rate:,} events/s for {seconds} s, {events:,} events about {BRANDS} brands, 50 rules"
    lag = f"median {np.median(lags):.1f} s, p99 {np.percentile(lags, 99):.1f} s; {conditions}"
    yield Figure(NAMES[0], float(lags.max()), "s", f"the worst of {len(lags):,} looks; from the call of produce; {lag}")
    each = ", ".join(f"{name} {spent / took:.3f}" for name, spent in busy.items())
    yield Figure(
        NAMES[1],
        sum(busy.values()) / took,
        "of a core",
        f"the time of its statements, which have one thread each: {each}; ClickHouse in all {cores:.2f} cores; {conditions}",
    )


def _lags(settings: Settings, rate: int, seconds: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    """In seconds, at each look; and how many events there were. Raises RuntimeError if the table never has all."""
    sent, lags = array("d"), list[float]()
    busy = threading.Thread(target=stream, args=(settings, rate, seconds, lambda: True, sent.append))
    with clickhouse_client(settings.clickhouse) as client, bar.task(f"{rate:,} events/s", rate * seconds) as tell:
        busy.start()
        counted, ends = 0, float("inf")
        while busy.is_alive() or counted < len(sent):
            if not busy.is_alive():
                ends = min(ends, time.monotonic() + PATIENCE_S)
            if time.monotonic() > ends:
                raise RuntimeError(f"{counted:,} of {len(sent):,} events are counted")
            now = time.monotonic()
            counted = int(client.query(_COUNTED).result_rows[0][0])
            lags.append(now - sent[counted] if counted < len(sent) and sent[counted] < now else 0.0)
            tell(counted)
            time.sleep(LOOK_S)
        busy.join()
    return np.array(lags), len(sent)


# --- beside the job, and without it -----------------------------------------------------------------------------------
def beside_figures(rate: int, seconds: int, runs: int) -> Iterator[Figure]:
    """p99 with the job to p99 without it: of alerts by single events, and of visibility."""
    found: dict[tuple[str, bool], list[float]] = defaultdict(list)
    with ground() as stage:
        for number in range(runs):
            for on in (True, False):
                job = nullcontext if on else _off
                topic = stage.topic(1 + 2 * number + on)
                single = alerts.latencies(stage, topic, rate, seconds, job)[alerts.SINGLE]

                @contextmanager
                def beside(settings: Settings, job: Beside = job, on: bool = on) -> Iterator[None]:
                    ruled = settings.model_copy(update={"alerts": rules_file(stage.folder, None)})
                    with job(ruled), Control(ruled) as control:
                        yield
                        if on and not statement_seconds(control.port).get("quarters"):
                            raise RuntimeError("the job was off")

                events = visible.WARM_UP_EVENTS + 2 * number + on
                seen = visible.measure(stage, rate, seconds, beside=beside, warm_up_events=events) * 1000
                for name, times in zip(BESIDE_NAMES, (single, seen), strict=True):
                    found[name, on].append(float(np.percentile(times, 99)))
    conditions = f"{rate:,} events/s for {seconds} s, 50 rules; medians of {runs} in turns"
    for name in BESIDE_NAMES:
        with_it, without = (median(found[name, on]) for on in (True, False))
        yield Figure(name, with_it / without, RATIO, f"{with_it:,.0f} ms with the job, {without:,.0f} without; {conditions}")


@contextmanager
def _off(settings: Settings) -> Iterator[None]:
    """Another member of the job's group has the one partition of topic signals: Kafka gives it to the first by name."""
    consumer = Consumer({**settings.kafka.client(), "group.id": f"{settings.kafka.group}-rollups", "client.id": "a"})
    ended, has_it = threading.Event(), threading.Event()
    consumer.subscribe([settings.kafka.topic("signals")])
    had_it_at = 0.0

    def hold() -> None:
        nonlocal had_it_at
        while not ended.is_set():
            consumer.poll(0.5)
            if consumer.assignment():  # here: it waits for ever beside a poll
                has_it.set()
                had_it_at = time.monotonic()

    holding = threading.Thread(target=hold, name="hold")
    holding.start()
    try:
        if not has_it.wait(PATIENCE_S):
            raise RuntimeError("Kafka gave the signals to nobody")
        yield
        if time.monotonic() - had_it_at > REBALANCE_S:
            raise RuntimeError("the job was at work")
    finally:
        ended.set()
        holding.join()
        consumer.close()


def statement_seconds(port: int) -> dict[str, float]:
    """How long the job's statements took, by rollup, as control counts it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return {each.labels["rollup"]: each.value for each in samples if each.name == "earshot_rollup_seconds_sum"}
