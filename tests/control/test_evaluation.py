"""The loop of control over scripted records, clock and store: when a change is published, and when a signal is committed."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.control.evaluation import Evaluation
from pipeline.fence import GivenUp
from pipeline.monitoring import metrics
from pipeline.processors.alerts.rules import Alerts
from tests.support.control_parts import CRISIS, Parts, signal_of
from tests.support.notify import until

RAISED = ["write crisis Acme firing", "publish crisis Acme firing"]


class Bench(Parts):
    """The evaluation; its seconds are those of `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.evaluation = Evaluation(self.leader, self.evaluator, self.notifier, self.vitals, lambda: self.now)

    def receive(self, value: bytes, name: str) -> None:
        self.evaluation.receive(self.record(value, name))

    async def second(self) -> None:
        """A second passes, and the loop notices."""
        self.now += 1.0
        self.evaluation._arrived.set()


async def test_a_signal_is_committed_by_the_tick_after_its_alert_is_written_and_published() -> None:
    bench = Bench()
    with bench.serving():
        run = asyncio.create_task(bench.evaluation.run())
        await until(lambda: not bench.evaluation._arrived.is_set())
        bench.store.may_write.clear()
        bench.receive(signal_of("Acme"), "first")
        await bench.second()
        await asyncio.sleep(0.1)
        assert bench.log == [], "the write has not come back"
        bench.store.may_write.set()
        await until(lambda: bench.log == [*RAISED, "commit first"])
        run.cancel()
        await asyncio.wait([run])


async def test_a_signal_that_comes_within_the_second_is_published_at_once_and_committed_later() -> None:
    bench = Bench()
    with bench.serving():
        run = asyncio.create_task(bench.evaluation.run())
        await asyncio.sleep(0.05)
        bench.receive(signal_of("Acme"), "first")
        await until(lambda: bench.log == RAISED)
        bench.receive(signal_of("Acme"), "second")
        await asyncio.sleep(0.05)
        assert "commit first" not in bench.log
        await bench.second()
        await until(lambda: bench.log[-2:] == ["commit first", "commit second"])
        run.cancel()
        await asyncio.wait([run])


@pytest.mark.logs_errors
async def test_a_record_that_holds_no_signal_is_counted_and_committed() -> None:
    bench = Bench()
    before = metrics.SIGNALS_UNREADABLE._value.get()
    with bench.serving():
        bench.receive(b"no signal", "broken")
        run = asyncio.create_task(bench.evaluation.run())
        await until(lambda: bench.log == ["commit broken"])
        run.cancel()
        await asyncio.wait([run])
    assert metrics.SIGNALS_UNREADABLE._value.get() == before + 1


async def test_a_lease_that_ends_while_it_writes_commits_nothing_and_gives_up() -> None:
    bench = Bench()
    with bench.serving():
        bench.store.may_write.clear()
        bench.receive(signal_of("Acme"), "first")
        run = asyncio.create_task(bench.evaluation.run())
        await asyncio.sleep(0.05)
        bench.leader.lease.leaving()
        bench.evaluation.clear()  # as the group does on a revoke
        bench.receive(signal_of("Other"), "of the next generation")
        bench.store.may_write.set()
        with pytest.raises(GivenUp):
            await asyncio.wait_for(run, 60)
        assert not [line for line in bench.log if line.startswith("commit")]
    bench.evaluator.stop()
    bench.leader.lease.assigned(True)
    bench.leader.lease.confirmed(bench.leader.lease.now(), 600)
    with bench.serving():
        again = asyncio.create_task(bench.evaluation.run())
        await until(lambda: "commit of the next generation" in bench.log)
        again.cancel()
        await asyncio.wait([again])
    assert "publish crisis Other firing" in bench.log


async def test_an_error_of_the_evaluator_ends_the_loop() -> None:
    bench = Bench()

    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    bench.store.new = fail  # type: ignore[method-assign,assignment]
    with bench.serving():
        bench.receive(signal_of("Acme"), "first")
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await asyncio.wait_for(bench.evaluation.run(), 60)
    assert bench.log == [] and not bench.vitals.silent()


async def test_events_of_a_rule_that_control_lacks_are_counted_logged_and_committed(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with bench.serving():
        run = asyncio.create_task(bench.evaluation.run())
        bench.receive(signal_of("Acme", "newer"), "first")
        await until(lambda: "commit first" in bench.log)
        assert metrics.ALERT_CANDIDATES_WAITING._value.get() == 1
        assert bench.log == ["commit first"] and len(bench.store.candidates) == 1
        await bench.second()
        await asyncio.sleep(0.05)
        assert caplog.text.count("events wait for rules that this alerts.yaml does not have: newer") == 1
        (rule,) = CRISIS.rules
        bench.evaluator.use(Alerts(rules=(rule, rule.model_copy(update={"name": "newer"}))))
        await bench.second()
        await until(lambda: "publish newer Acme firing" in bench.log)
        await until(lambda: metrics.ALERT_CANDIDATES_WAITING._value.get() == 0)
        assert bench.store.candidates == {}
        run.cancel()
        await asyncio.wait([run])
