"""What everything costs at the rates that companies have: cores of the processes of `earshot up --no-sample`, with nothing to
do and with some events a second.

Everything is on: model fast, 50 rules, control with its rollups, customers, the console. The standard load has run for a while
before, so no code and no table is new. A figure is the sum over worker, control, customers and ClickHouse: the median of five
spans of equal length. Who looks costs ClickHouse something, so how long events and alerts take is measured after each rate.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import yaml
from confluent_kafka import Producer

from benchmarks import alerts, visible
from benchmarks.alerts import CORES, Hook, hooked, rules_file
from benchmarks.ground import cpu_seconds
from benchmarks.progress import bar
from benchmarks.report import Figure
from benchmarks.standard import standard_brands, standard_load
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.console import ConsoleSettings
from pipeline.config.environment import child_environment
from pipeline.config.load import load
from pipeline.config.settings import EmbeddedSettings, SentimentSettings, Settings, WorkerSettings
from pipeline.embedded.own_settings import NAME as SETTINGS
from pipeline.embedded.secret import FOLDER

RATES = (0, 100, 1_000)
NAMES = ("cost.idle_cores", "cost.cores_100", "cost.cores_1000")
COUNTED = ("worker", "control", "customers", "clickhouse")
BESIDE = ("kafka", "console", "up")
"""They are in the conditions alone."""
SPANS = 5
SETTLE_S, WARM_UP_RATE = 15, 500
PATIENCE_S = 120.0
TICK_S = 0.05


def figures(seconds: int) -> Iterator[Figure]:
    """The figures; `seconds` at each rate, and a fifth of that for what is seen and alerted at it."""
    with (
        tempfile.TemporaryDirectory(prefix="earshot-benchmark-") as folder,
        hooked() as hook,
        everything(Path(folder), hook) as (settings, pids),
    ):
        produce(settings, WARM_UP_RATE, SETTLE_S)
        time.sleep(SETTLE_S)
        for rate, name in zip(RATES, NAMES, strict=True):
            cores = spent(settings, pids, rate, seconds)
            each = ", ".join(f"{process} {cores[process]:.3f}" for process in (*COUNTED, *BESIDE))
            latency = f"; {latencies(settings, hook, rate, max(5, seconds // 5))}" if rate else ""
            conditions = f"{rate:,} events/s for {seconds} s, model fast, 50 rules, 20 brands: {each}{latency}"
            yield Figure(name, cores["total"], CORES, conditions)


@contextmanager
def everything(folder: Path, hook: Hook) -> Iterator[tuple[Settings, dict[str, int]]]:
    """`earshot up --no-sample` in this folder: the settings of its processes, and their pids. Raises RuntimeError if it does
    not get ready."""
    brands, data = folder / "brands.yaml", folder / "data"
    brands.write_text(yaml.safe_dump(standard_brands()))
    given = Settings(
        embedded=EmbeddedSettings(data_dir=data, broker="kafka", kafka_port=0, clickhouse_port=0),
        worker=WorkerSettings(health_port=0),
        control=ControlSettings(port=0),
        customers=CustomersSettings(port=0),
        console=ConsoleSettings(port=0),
        sentiment=SentimentSettings(model="fast"),
        brands=brands,
        alerts=rules_file(folder, hook.port),
    )
    command = [sys.executable, "-m", "pipeline.cli", "up", "--no-sample"]
    with (folder / "up.log").open("w+") as log:
        process = subprocess.Popen(command, env=child_environment(given), stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_it_shows(process, folder / "up.log")
            yield load(data / FOLDER / SETTINGS), _pids(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()


def _wait_until_it_shows(process: subprocess.Popen[bytes], log: Path) -> None:
    """It prints what it shows when all of its children answer."""
    end = time.monotonic() + PATIENCE_S
    while "try, in another terminal" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"earshot up did not get ready: {log.read_text()[-500:]}")
        time.sleep(0.2)


def _pids(up: int) -> dict[str, int]:
    """By name, of `up` and its children."""
    pids = {"up": up}
    for child in psutil.Process(up).children():
        words = " ".join(child.cmdline())
        names = {"pipeline.embedded.clickhouse": "clickhouse", "kafka.Kafka": "kafka"}
        names |= {f"pipeline.cli {name}": name for name in ("worker", "control", "customers", "console")}
        pids |= {name: child.pid for part, name in names.items() if part in words}
    if missing := {*COUNTED, *BESIDE} - pids.keys():
        raise RuntimeError(f"earshot up has no process {', '.join(missing)}")
    return pids


def spent(settings: Settings, pids: dict[str, int], rate: int, seconds: int) -> dict[str, float]:
    """Cores of each process, and the `total` of those that count: medians of SPANS."""
    spans: list[dict[str, float]] = []
    busy = threading.Thread(target=produce, args=(settings, rate, seconds))
    busy.start()
    for _ in range(SPANS):
        before, started = _seconds(pids), time.monotonic()
        time.sleep(seconds / SPANS)
        took, after = time.monotonic() - started, _seconds(pids)
        spans.append({name: (after[name] - before[name]) / took for name in pids})
        spans[-1]["total"] = sum(spans[-1][name] for name in COUNTED)
    busy.join()
    return {name: median(span[name] for span in spans) for name in spans[0]}


def _seconds(pids: dict[str, int]) -> dict[str, float]:
    """`up` alone, without its children."""
    own = psutil.Process(pids["up"]).cpu_times()
    return {name: cpu_seconds(pid) for name, pid in pids.items()} | {"up": own.user + own.system}


def produce(settings: Settings, rate: int, seconds: int) -> None:
    """The standard load at a steady rate."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, started, total = settings.kafka.topic("events"), time.monotonic(), rate * seconds
    load = standard_load(total, time.monotonic_ns() % (1 << 31), datetime.now(UTC), rate=rate)
    each_tick = max(1, int(rate * TICK_S))  # of no rate there are no events
    for number, record in enumerate(bar.track(load, total, f"{rate:,} events/s")):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        producer.produce(topic, record.value, record.key)
    producer.flush(30)


# --- how long it takes ------------------------------------------------------------------------------------------------
def latencies(settings: Settings, hook: Hook, rate: int, seconds: int) -> str:
    """In words: p99 of how long an event takes to be seen, and an alert to be accepted. Raises RuntimeError where one never
    was."""
    seen = _seen(settings, rate, seconds)
    already = set(hook.accepted)
    probes = (probe for probe in alerts.probes(alerts.BRANDS) if probe[0] not in already)
    sent = alerts.stream(settings, rate, alerts.WARM_UP_S + seconds, probes, seed=time.monotonic_ns() % (1 << 31))
    end = time.monotonic() + alerts.PATIENCE_S
    while (missing := sent.keys() - hook.accepted.keys()) and time.monotonic() < end:
        time.sleep(0.1)
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(sent)} alerts never came, as {min(missing)}")
    took = {key: (hook.accepted[key] - at) * 1000 for key, at in sent.items()}
    single, windowed = ([ms for (rule, _), ms in took.items() if rule.startswith(word)] for word in ("word", "likes"))
    p99 = [np.percentile(times, 99) if len(times) else float("nan") for times in (seen, single, windowed)]
    return "p99 in ms until seen {:,.0f}, single alerts {:,.0f}, windowed {:,.0f}".format(*p99)


def _seen(settings: Settings, rate: int, seconds: int) -> visible.Times:
    positions = visible.Positions(visible.ends(settings), 2 * rate * seconds // settings.kafka.partitions + 1_000)
    with clickhouse_client(settings.clickhouse) as client:
        watcher = visible.Watcher(client, positions)
        watcher.start()
        try:
            visible.produce_at(settings, rate, seconds, positions, seed=time.monotonic_ns() % (1 << 31))
            watcher.wait_for_all()
        finally:
            watcher.stop()
    return positions.times() * 1000
