"""Workers are killed, frozen and replaced: each record lands exactly once."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.support.harness import ONLY_LONG, Run, Size, kill_rounds
from tests.support.worker import wait_for

SESSION_TIMEOUT = 10.0
BATCH_ROWS = 500
"""Small batches, so that at any moment some are on their way."""


@pytest.fixture
def batch_rows() -> int:
    return BATCH_ROWS


@ONLY_LONG  # in short: that of a worker that labels, tests/faults/test_labels.py
def test_a_worker_is_killed(run: Run, size: Size, rng: random.Random) -> None:
    in_flight = kill_rounds(run, size.events, size.kills, rng)
    run.finish()
    assert in_flight >= size.in_flight


@ONLY_LONG
def test_two_workers_are_killed_in_turn(run: Run, size: Size, rng: random.Random) -> None:
    run.start_control()
    in_flight = kill_rounds(run, size.events, size.kills, rng, workers=2)
    run.finish()
    assert in_flight >= size.in_flight


@ONLY_LONG
def test_a_frozen_worker_comes_back_after_another_took_over(run: Run, size: Size, rng: random.Random) -> None:
    frozen = run.start_worker()
    frozen.wait_ready()
    heir = run.start_worker()
    heir.wait_ready()
    with run.feeding(size.events // 2, rate=3_000):
        frozen.wait_read(rng.uniform(1_000, size.events / 8))
        wait_for("rows are in flight", lambda: frozen.in_flight, every=0.001)
        frozen.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        assert frozen.in_flight
    wait_for("the heir has committed everything", run.all_committed)
    time.sleep(max(0.0, SESSION_TIMEOUT + 2 - (time.monotonic() - stopped)))
    frozen.signal(signal.SIGCONT)
    run.produce(size.events // 2, rate=10_000)
    frozen.wait_ready()
    run.finish(allow_zombie_rows=BATCH_ROWS)


@ONLY_LONG
def test_a_rolling_change_from_one_worker_to_three_to_one(run: Run, size: Size) -> None:
    first = run.start_worker()
    first.wait_ready()
    with run.feeding(size.events, rate=1_500):
        second, third = run.start_worker(), run.start_worker()
        second.wait_ready()
        third.wait_ready()
        for worker in (second, third):
            worker.wait_read(1)
        for worker in (first, second):
            run.remove(worker)
            assert worker.stop() == 0, worker.tail()
            assert not worker.in_flight, "a planned stop left a batch open"
        for worker in (first, second, third):
            assert not worker.said("given up"), "a planned change lets what is on its way land"
    run.finish()
