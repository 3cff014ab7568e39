"""What the worker needs goes away and comes back: each record lands exactly once, the worker's health tells the truth,
and the rollups are those that are computed anew."""

from __future__ import annotations

import random
import time

from pipeline.embedded.stack import Stack
from tests.support.harness import ONLY_LONG, Run, Size, Watch
from tests.support.proxy import LossyProxy

RATE = 2_000.0
SEED = 40
"""By it a quarter and more of the answers are lost, however many inserts there are."""
AN_OUTAGE_S = 10.0
"""About how long a kill and a restart take: so long events come for each of them."""


def test_clickhouse_and_the_broker_are_killed_and_restarted_in_turn(
    run: Run, stack: Stack, size: Size, rng: random.Random
) -> None:
    children = ("clickhouse", "kafka") * size.outages
    control = run.start_control()
    worker = run.start_worker()
    worker.wait_ready()
    control.wait_ready()  # who starts while ClickHouse is away ends with that
    with Watch(worker) as watch:
        with run.feeding(size.events, size.events / len(children) / AN_OUTAGE_S):
            for child in children:
                time.sleep(rng.uniform(1, 4))
                stack.kill(child)
                worker.wait_ready(False)
                stack.restart(child)
                worker.wait_ready()
        run.finish()
    watch.assert_well()


@ONLY_LONG  # in short: an insert that landed without an answer, tests/clickhouse/test_inserter.py
def test_answers_of_inserts_are_lost(run: Run, stack: Stack, size: Size) -> None:
    with LossyProxy(stack.clickhouse_url, 0.3, seed=SEED) as proxy:
        run.clickhouse_url = proxy.url
        worker = run.start_worker()
        worker.wait_ready()
        with Watch(worker) as watch:
            run.produce(size.events, RATE)
            run.finish()
        watch.assert_well()
        run.close()
        assert proxy.dropped > 0.2 * proxy.inserts > 5


@ONLY_LONG
def test_the_broker_is_paused(run: Run, stack: Stack, size: Size) -> None:
    worker = run.start_worker()
    worker.wait_ready()
    with Watch(worker) as watch:
        with run.feeding(size.events, RATE):
            time.sleep(2)
            with stack.paused("kafka"):
                paused = time.monotonic()
                worker.wait_ready(False, size.pause_s)
                time.sleep(max(0.0, size.pause_s - (time.monotonic() - paused)))
            worker.wait_ready()
        run.finish()
    watch.assert_well()
