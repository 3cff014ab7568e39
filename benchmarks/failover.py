"""Failover: one of two workers is killed under load; how long until the partitions that it had land events again?

From the kill until a SELECT of another client has returned, of every partition, an event that was sent after the kill. The
killed one is started anew each time, so the group is joined as often as it is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median

import numpy as np

from benchmarks.ground import Ground, Worker, ground, wait_for_rows
from benchmarks.report import Figure
from benchmarks.visible import Positions, Watcher, ends, produce_at
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("failover.median_s", "failover.worst_s")
WARM_UP_EVENTS = 20_000
RATE = 1_000
EVERY_S = 35
"""Between two kills: the new worker has its partitions by then."""


def figures(kills: int) -> Iterator[Figure]:
    with ground() as stage:
        seconds = measure(stage, kills)
    conditions = f"{kills} kills of one of two workers, {RATE:,} events/s, until every partition lands what came after the kill"
    yield Figure("failover.median_s", median(seconds), "s", conditions)
    yield Figure("failover.worst_s", max(seconds), "s", conditions)


def measure(stage: Ground, kills: int) -> list[float]:
    """Seconds, one a kill. Raises RuntimeError when an event was not acknowledged, or never seen."""
    warm_up = stage.topic(WARM_UP_EVENTS)
    killed: list[float] = []
    with stage.run(warm_up) as settings, ExitStack() as kept, clickhouse_client(settings.clickhouse) as client:
        workers = [_worker(settings, kept) for _ in range(2)]
        for _ in wait_for_rows(client, warm_up.distinct):
            pass
        length = EVERY_S * kills + 5
        positions = Positions(ends(settings), 2 * RATE * length // settings.kafka.partitions + 1_000)
        watcher = Watcher(client, positions)
        thread = kept.enter_context(ThreadPoolExecutor(1))
        began = time.monotonic()
        watcher.start()
        produced = thread.submit(produce_at, settings, RATE, length, positions)
        try:
            for kill in range(kills):
                time.sleep(max(0.0, began + 5 + EVERY_S * kill - time.monotonic()))
                workers[kill % 2].process.kill()
                killed.append(time.monotonic())
                time.sleep(EVERY_S / 2)
                workers[kill % 2] = _worker(settings, kept)
            produced.result()
            watcher.wait_for_all()
        finally:
            watcher.stop()
    positions.times()
    return [_until_all_land(positions, at) for at in killed]


def _worker(settings: Settings, kept: ExitStack) -> Worker:
    worker = kept.enter_context(Worker(settings))
    worker.wait_until_it_reads()
    return worker


def _until_all_land(positions: Positions, killed: float) -> float:
    """Seconds until each partition had an event seen that was sent after the kill."""
    seen = np.where(positions.sent > killed, positions.seen, np.nan)
    return float(np.nanmin(seen, axis=1).max()) - killed
