"""An import of a CRM: how long it takes until the leader has all of it, and how soon alerts come meanwhile.

Each customer has a name, an address and a number; every other one an account, too.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from confluent_kafka import Consumer, TopicPartition

from benchmarks import alerts
from benchmarks.alerts import Control, hooked, rules_file, stream, word_probe
from benchmarks.ground import Worker, ground
from benchmarks.identity_live import SECONDS, Customers, stewarded
from benchmarks.report import MS, Figure
from benchmarks.standard import standard_brands
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings

NAMES = ("identity.import_s", "identity.import_alerts_p99_ms")
RATE, WORDS, LONGEST_S = 1_000, 40, 3_600
FIELDS = ("id", "name", "email", "phone", "accounts")
PATIENCE_S = 60.0


def figures(customers: int) -> Iterator[Figure]:
    brands = [brand["name"] for brand in standard_brands()["brands"]]
    with ground() as stage, hooked() as hook:
        file = _file(stage.folder, customers)
        with stage.run(stage.topic(1)) as plain:
            rules = rules_file(stage.folder, hook.port, WORDS)
            settings = stewarded(plain).model_copy(update={"alerts": rules})
            with Worker(settings) as worker, Control(settings), Customers(settings) as leader:
                worker.wait_until_it_reads()
                sent: dict[tuple[str, str], float] = {}
                ended = threading.Event()
                probes = (word_probe(number, brand) for number, brand in product(range(WORDS), brands))
                busy = threading.Thread(
                    target=lambda: sent.update(stream(settings, RATE, LONGEST_S, probes, lambda: not ended.is_set()))
                )
                busy.start()
                time.sleep(alerts.WARM_UP_S)
                command_s, seconds = _imported(settings, file, leader)
                ended.set()
                busy.join()
                end = time.monotonic() + PATIENCE_S
                while len(hook.accepted.keys() & sent.keys()) < len(sent) and time.monotonic() < end:
                    time.sleep(0.1)
            with clickhouse_client(settings.clickhouse) as client:
                rows, edges = (client.command(f"SELECT count() FROM {name} FINAL") for name in ("customers", "identity_edges"))
    if rows != customers:
        raise RuntimeError(f"{rows} of {customers} customers are there")
    if missing := sent.keys() - hook.accepted.keys():
        raise RuntimeError(f"{len(missing)} of {len(sent)} alerts never came, as {min(missing)}")
    conditions = f"{customers:,} customers of a CRM, {edges:,} edges; beside {RATE:,} events/s, 20 brands"
    yield Figure(NAMES[0], seconds, SECONDS, f"until the leader had all; the command took {command_s:.0f} s; {conditions}")
    times = np.array([hook.accepted[key] - sent[key] for key in sent]) * 1000
    yield Figure(
        NAMES[1],
        float(np.percentile(times, 99)),
        MS,
        f"{len(times)} single-event alerts; max {times.max():,.0f} ms; {conditions}",
    )


def _file(folder: Path, customers: int) -> Path:
    path, number = folder / "crm.csv", pl.int_range(customers, eager=True)
    text = number.cast(pl.String)
    accounts = "shop:" + text
    table = {
        "id": "C-" + text, "name": "Customer " + text, "email": "someone" + text + "@example.org",
        "phone": "+4915" + (100_000_000 + number).cast(pl.String), "accounts": accounts.set(number % 2 == 1, ""),
    }  # fmt: skip
    pl.DataFrame(table).write_csv(path)
    return path


def _imported(settings: Settings, file: Path, leader: Customers) -> tuple[float, float]:
    """Seconds until the command ended, and until the leader had taken all that it sent."""
    maps = [option for field in FIELDS for option in ("--map", f"{field}={field}")]
    command = [sys.executable, "-m", "pipeline.cli", "crm", "import", str(file), *maps, "--basis", "given"]
    environment = child_environment(settings)
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    command_s = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"the import failed: {done.stderr.strip().splitlines()[-3:]}")
    while not _taken(settings):
        if leader.process.poll() is not None:
            raise RuntimeError("customers ended")
        time.sleep(0.5)
    return command_s, time.monotonic() - started


def _taken(settings: Settings) -> bool:
    """Whether the leader has committed all evidence."""
    kafka = settings.kafka
    consumer = Consumer({**kafka.client(), "group.id": f"{kafka.group}-customers", "enable.auto.commit": False, "log_level": 3})
    try:
        place = TopicPartition(kafka.topic("identity"), 0)
        end = consumer.get_watermark_offsets(place, timeout=10)[1]
        return bool(consumer.committed([place], timeout=10)[0].offset >= end)
    finally:
        consumer.close()
