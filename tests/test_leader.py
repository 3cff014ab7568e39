"""From taking over to handing over: the work while a process leads, and an error in its background. No server.

Lease and terms have tests of their own: tests/kafka/test_lease.py, tests/clickhouse/test_terms.py.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.types import TP

from pipeline import leader as leader_module
from pipeline.clickhouse.terms import Term
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from tests.support.control_parts import MemoryTerms, leader_of

Scenario = Callable[[], Coroutine[Any, Any, None]]


def led(alone: bool = True) -> tuple[Leader, MemoryTerms]:
    leader, terms = leader_of(), MemoryTerms(alone)
    leader._terms = terms  # type: ignore[assignment]
    return leader, terms


def run(scenario: Scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


def leads(leader: Leader) -> bool:
    try:
        leader.check()
    except GivenUp:
        return False
    return True


def test_it_serves_from_when_it_says_so_until_the_lease_ends_and_again_with_the_next() -> None:
    async def scenario() -> None:
        leader, terms = led()
        serves, ends = asyncio.Event(), list[str]()

        async def background() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ends.append("background")

        async def work(generation: int) -> None:
            assert not leads(leader), "it has yet to read"
            with leader.serving(generation):
                leader.start(background())
                await asyncio.sleep(0)
                assert leads(leader)
                serves.set()
                try:
                    await asyncio.sleep(60)
                finally:
                    ends.append("work")

        hold = asyncio.create_task(leader.hold(work))
        await serves.wait()
        leader.lease.leaving()
        assert not leads(leader)
        serves.clear()
        while len(ends) < 2 or len(terms.log) < 2:
            await asyncio.sleep(0.01)
        assert terms.log == ["take 1", "release 1"] and sorted(ends) == ["background", "work"]
        leader.lease.assigned(True)
        leader.lease.confirmed(leader.lease.now(), 600)
        await serves.wait()
        assert terms.log[2:] == ["take 2"] and leader.inserter.term == 2
        hold.cancel()
        await asyncio.wait([hold])
        assert hold.cancelled() and terms.log[3:] == ["release 2"]

    run(scenario)


def test_an_error_in_the_background_ends_the_work_and_the_process() -> None:
    async def scenario() -> None:
        leader, terms = led()

        async def fail() -> None:
            raise ZeroDivisionError

        async def work(generation: int) -> None:
            with leader.serving(generation):
                leader.start(fail())
                while True:
                    leader.check()
                    try:
                        await asyncio.sleep(0.01)
                    except asyncio.CancelledError:  # as Python 3.11's wait_for may swallow it
                        continue

        with pytest.raises(ZeroDivisionError):
            await leader.hold(work)
        assert not leads(leader) and terms.log == ["take 1", "release 1"]

    run(scenario)


def test_a_cancellation_does_not_cut_off_a_hand_over() -> None:
    async def scenario() -> None:
        leader, terms = led()
        serves, closing, ends = asyncio.Event(), asyncio.Event(), list[str]()

        async def work(generation: int) -> None:
            try:
                with leader.serving(generation):
                    serves.set()
                    await asyncio.sleep(60)
            finally:
                closing.set()
                await asyncio.sleep(0.1)
                ends.append("the last message is sent")
                assert terms.log == ["take 1"]

        hold = asyncio.create_task(leader.hold(work))
        await serves.wait()
        leader.lease.leaving()
        await closing.wait()
        hold.cancel()
        await asyncio.wait([hold])
        assert hold.cancelled() and ends and terms.log == ["take 1", "release 1"]

    run(scenario)


def test_an_error_in_the_background_is_raised_also_when_it_meets_a_cancellation() -> None:
    async def scenario() -> None:
        leader, terms = led()
        serves, fails = asyncio.Event(), asyncio.Event()

        async def fail() -> None:
            await fails.wait()
            raise ZeroDivisionError

        async def work(generation: int) -> None:
            with leader.serving(generation):
                leader.start(fail())
                serves.set()
                await asyncio.sleep(60)

        hold = asyncio.create_task(leader.hold(work))
        await serves.wait()
        await asyncio.sleep(0)
        fails.set()
        await asyncio.sleep(0)
        hold.cancel()
        with pytest.raises(ZeroDivisionError):
            await hold
        assert terms.log == ["take 1", "release 1"]

    run(scenario)


def test_a_take_over_that_is_cut_off_leaves_a_live_process() -> None:
    async def scenario() -> None:
        leader, terms = led()
        vitals, asked, may_end = leader._vitals, threading.Event(), threading.Event()

        def take(check: Callable[[], None]) -> Term:
            vitals.busy("evaluating")
            asked.set()
            assert may_end.wait(10)
            vitals.busy("evaluating")  # its last try
            raise GivenUp

        terms.take = take  # type: ignore[method-assign]
        hold = asyncio.create_task(leader.hold(never))
        await asyncio.to_thread(asked.wait, 10)
        leader.lease.leaving()
        await asyncio.sleep(0.05)
        assert vitals._busy_since == {"evaluating": None}
        may_end.set()
        await leader.on_thread(lambda: None)
        assert vitals._busy_since == {"evaluating": None}
        hold.cancel()
        await asyncio.wait([hold])

    async def never(generation: int) -> None:
        raise AssertionError

    run(scenario)


def test_the_thread_is_busy_as_long_as_its_work() -> None:
    """A look-up that had asked for 4 s rested for 36 s, nobody else had work, and /live had the process started again."""

    async def scenario() -> None:
        leader, _ = led()
        vitals, signs = leader._vitals, list[bool]()

        def work() -> None:
            signs.append(vitals._busy_since["evaluating"] is not None)
            vitals.busy("evaluating")  # as each request to ClickHouse

        await leader.on_thread(work)
        assert signs == [True] and vitals._busy_since == {"evaluating": None}

    run(scenario)


def test_background_work_that_gives_up_ends_nothing() -> None:
    async def scenario() -> None:
        leader, _ = led()
        ended = asyncio.Event()

        async def give_up() -> None:
            ended.set()
            raise GivenUp

        async def work(generation: int) -> None:
            with leader.serving(generation):
                leader.start(give_up())
                await asyncio.sleep(60)

        hold = asyncio.create_task(leader.hold(work))
        await ended.wait()
        await asyncio.sleep(0.05)
        assert not hold.done() and leads(leader)
        hold.cancel()
        await asyncio.wait([hold])

    run(scenario)


def test_an_error_of_the_work_is_raised() -> None:
    async def work(generation: int) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        leader, terms = led()
        with pytest.raises(ZeroDivisionError):
            await leader.hold(work)
        assert terms.log == ["take 1", "release 1"]

    run(scenario)


def test_it_waits_for_the_writes_of_a_leader_that_did_not_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "OTHERS_WRITE_S", 0.2)

    async def scenario() -> None:
        leader, _ = led(alone=False)
        started = asyncio.get_running_loop().time()
        begun: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        async def work(generation: int) -> None:
            begun.set_result(asyncio.get_running_loop().time())
            await asyncio.sleep(60)

        hold = asyncio.create_task(leader.hold(work))
        assert await begun - started >= 0.19
        hold.cancel()
        await asyncio.wait([hold])

    run(scenario)


def test_a_term_is_not_released_while_a_write_of_it_may_still_run() -> None:
    async def scenario() -> None:
        leader, terms = led()

        async def work(generation: int) -> None:
            leader.inserter.unsettled = 1
            raise GivenUp

        hold = asyncio.create_task(leader.hold(work))
        while not terms.log:
            await asyncio.sleep(0.01)
        leader.lease.leaving()
        await asyncio.sleep(0.05)
        assert "release 1" not in terms.log
        hold.cancel()
        await asyncio.wait([hold])

    run(scenario)


def test_the_group_assigns_and_revokes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        app = faust.App("test", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False)
        vitals = Vitals()
        leader = Leader("control", "evaluating", cast(Any, None), vitals)
        leader.lease.confirmed(leader.lease.now(), 600)
        revoked: list[str] = []
        leader.follow(app, "signals", lambda: revoked.append("revoked"))
        ours, other = TP("signals", 0), TP("other", 0)
        vitals.hold("partitions", "not assigned yet")
        await app.on_partitions_assigned.send({other})
        assert not leader.lease.leads(leader.lease.generation) and not vitals.unready()
        await app.on_partitions_assigned.send({other, ours})
        assert leader.lease.leads(leader.lease.generation)
        await app.on_partitions_revoked.send({ours})
        assert revoked == ["revoked"]

    run(scenario)
    assert [record.message for record in caplog.records if record.name == "earshot.leader"] == [
        "stands by: another process leads",
        "leads",
    ]


def test_it_shows_whether_kafka_and_the_group_answer_and_ends_with_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "BEAT_S", 0.001)

    async def scenario() -> None:
        leader, _ = led()
        vitals = leader._vitals
        app = SimpleNamespace(crash_reason=None)
        why = ["Kafka at nowhere: no answer"]
        watch = asyncio.create_task(leader.watch(cast(faust.App, app), lambda: why[0]))

        async def shows(text: str) -> None:
            while text not in "".join(vitals.unready()) or (not text and vitals.unready()):
                assert not watch.done()
                await asyncio.sleep(0.01)

        await shows("kafka: Kafka at nowhere")
        why[0] = ""
        await shows("")
        leader.lease._answered_at = leader.lease.now() - 60
        await shows("kafka: the group's coordinator has not answered for 60 s")
        app.crash_reason = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await watch

    run(scenario)
