"""How far the running quarter-hour of table quarters is behind while events come, and what the job takes.

Each event is about one of 200 brands, and new. Another client asks twice a second how many mentions the table has: if it has n,
the event that was sent as the next one is missing, so the table is as old as that event. What the worker and the insert take is
in it.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from array import array
from collections.abc import Iterator

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.alerts import Control, rules_file
from benchmarks.branded import stream
from benchmarks.ground import Worker, cpu_seconds, ground
from benchmarks.progress import bar
from benchmarks.query_tables import BRANDS
from benchmarks.report import Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("rollups.lag_s", "rollups.share")
LOOK_S, PATIENCE_S = 0.5, 60.0
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


def statement_seconds(port: int) -> dict[str, float]:
    """How long the job's statements took, by rollup, as control counts it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return {each.labels["rollup"]: each.value for each in samples if each.name == "earshot_rollup_seconds_sum"}
