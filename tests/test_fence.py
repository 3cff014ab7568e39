"""When a worker may write: while its poll loop runs and the group's coordinator is heard."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.clock import steady
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.consumer import confirmed_ago


def stats(rx_s: float, tx_s: float, ago_s: float = 0.0) -> dict[str, object]:
    coordinator = {"rxidle": round(rx_s * 1e6), "txidle": round(tx_s * 1e6)}
    return {"ts": round((time.monotonic() - ago_s) * 1e6), "brokers": {"GroupCoordinator": coordinator}}


def test_a_worker_that_polls_and_does_not_hear_its_group_waits_and_writes_when_it_does() -> None:
    fence = Fence()
    fence.polled()
    fence.confirmed(steady() - 6, 10)
    passed = threading.Event()

    def write() -> None:
        fence.pass_through(0)
        passed.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not passed.wait(0.3)
    fence.polled()
    fence.confirmed(steady() - 2, 10)
    assert passed.wait(60)
    writer.join()


def test_who_waits_for_its_group_gives_up_when_the_partitions_are_lost() -> None:
    fence = Fence()
    fence.polled()
    fence.confirmed(steady() - 60, 10)
    threading.Timer(0.1, fence.end_generation).start()
    with pytest.raises(GivenUp):
        fence.pass_through(0)


def test_what_the_coordinator_answered_counts_from_when_it_was_sent() -> None:
    assert confirmed_ago(stats(1.0, 1.5)) == pytest.approx(1.5, abs=0.1)
    assert confirmed_ago(stats(1.0, 1.5, ago_s=3)) == pytest.approx(4.5, abs=0.1), "the poll thread came to read it later"
    assert confirmed_ago(stats(2.0, 1.0)) is None, "an answer is still to come"
    assert confirmed_ago(stats(-1e-6, -1e-6)) is None
    assert confirmed_ago({"ts": 0, "brokers": {}}) is None
