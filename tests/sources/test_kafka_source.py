"""The Kafka source with a scripted consumer and a clock: batches, room, stops, and generations that end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Message

from pipeline.batch import EventBatch
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.sources.kafka import KEPT_BYTES, KafkaSource, Limits, Subscription
from pipeline.worker.in_flight import InFlightLimit
from pipeline.worker.offsets import Offsets
from tests.support.scripted_consumer import TOPIC, ScriptedConsumer, message
from tests.support.worker import wait_for

SESSION_MS = 10_000
LIMITS = Limits(100, 1 << 20, 0.01)


class Bench:
    """A source whose batches the test lands. `prepare` gives each new consumer its script."""

    def __init__(self, limits: Limits = LIMITS, batches: int = 4) -> None:
        self.now = 100.0
        self.fence, self.vitals, self.room = Fence(lambda: self.now), Vitals(), InFlightLimit(batches)
        self.offsets = Offsets(
            self.fence, self.vitals, lambda _: lambda _: None, lambda _: None, self.room.wait_empty, lambda _: True
        )
        self.committed: dict[int, int] = {}
        self.consumers: list[ScriptedConsumer] = []
        self.prepare: Callable[[ScriptedConsumer], None] = lambda consumer: None
        self.got: list[EventBatch] = []
        self.open: dict[int, EventBatch] = {}
        self.errors: list[BaseException] = []
        self.waiting = False
        subscription = Subscription(
            {"session.timeout.ms": SESSION_MS}, TOPIC, limits, cast(Callable[[dict[str, Any]], Any], self._connect)
        )
        self.source = KafkaSource(subscription, self.offsets, self.fence, self.vitals, self.room, self, lambda: self.waiting)

    def _connect(self, config: dict[str, Any]) -> ScriptedConsumer:
        consumer = ScriptedConsumer(self.committed)
        consumer.config = config
        self.consumers.append(consumer)

        def assigned() -> Sequence[Message]:
            consumer.assign(0, 1)
            return []

        consumer.polls.append(assigned)
        self.prepare(consumer)
        return consumer

    @property
    def consumer(self) -> ScriptedConsumer:
        return self.consumers[-1]

    # --- Target
    def put(self, batch: EventBatch) -> None:
        self.got.append(batch)
        self.open[batch.id] = batch

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)

    # --- the landing agent
    def land(self, batch: EventBatch) -> None:
        self.offsets.landed(batch)
        self.room.give_back(self.open.pop(batch.id))

    def give_up(self, batch: EventBatch) -> None:
        self.room.give_back(self.open.pop(batch.id))

    # --- the test
    def start(self) -> None:
        self.source.start()
        wait_for("partitions are read", lambda: bool(self.consumers) and bool(self.consumer.called("resume")))

    def bring(self, *polls: Sequence[Message] | BaseException | Callable[[], Sequence[Message]]) -> None:
        self.consumer.polls.extend(polls)

    def asked(self) -> tuple[list[int], list[float]]:
        """How many records the consumer was asked for, and for how long, the newest first."""
        known = len(self.consumer.waits)
        return self.consumer.wanted[:known][::-1], self.consumer.waits[:known][::-1]

    def batch(self, number: int) -> EventBatch:
        wait_for(f"batch {number}", lambda: len(self.got) >= number)
        return self.got[number - 1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for batch in list(bench.open.values()):
        bench.give_up(batch)
    bench.source.stop()
    assert not bench.errors


def offsets_of(batch: EventBatch) -> list[tuple[int, int]]:
    return list(batch.events.select("partition", "offset").iter_rows())


def test_records_become_a_batch_of_their_generation_with_their_origins(bench: Bench) -> None:
    bench.start()
    bench.bring([message(3), message(4), message(9, partition=1)])
    batch = bench.batch(1)
    assert offsets_of(batch) == [(0, 3), (0, 4), (1, 9)] and list(batch.raw) == [b"{}"] * 3
    assert [origin[1:] for origin in batch.origins] == [(0, 3, 4, 1_003, 1_004), (1, 9, 9, 1_009, 1_009)]
    assert (batch.id, batch.generation, batch.read, batch.behind) == (1, 0, 3, False)
    bench.land(batch)
    wait_for("the commit", lambda: bench.committed == {0: 5, 1: 10})


def test_nothing_read_is_no_batch_but_for_changes_that_wait() -> None:
    bench = Bench(Limits(100, 1 << 20, 0.01, tick_s=0.05))
    bench.start()
    threading.Event().wait(0.3)
    assert not bench.got
    bench.waiting = True
    assert bench.batch(1).read == 0 and not bench.got[0].origins
    for batch in bench.got:
        bench.land(batch)
    bench.waiting = False
    bench.source.stop()


def test_slices_grow_until_the_batch_is_full() -> None:
    bench = Bench()
    bench.start()
    wait_for("it polls", lambda: len(bench.consumer.wanted) > 3)
    bench.consumer.wanted.clear()
    numbers = iter(range(1_000))
    bench.bring(*([message(next(numbers)) for _ in range(count)] for count in (1, 16, 64, 19)))
    batch = bench.batch(1)
    assert batch.read == 100 and batch.behind
    asked = bench.consumer.wanted
    first = next(at for at in range(len(asked)) if asked[at : at + 4] == [1, 16, 64, 19])
    assert first >= 0, "at last only as many as the batch still takes"
    bench.land(batch)
    bench.source.stop()


def test_a_batch_comes_a_linger_after_the_one_before_and_after_a_pause_at_once() -> None:
    bench = Bench(Limits(100, 1 << 20, 1_000.0))
    bench.source._handed_over -= 1e6
    bench.start()

    def waited() -> float:
        """How long the batch waited for more than its first record, at most."""
        number = len(bench.got)
        bench.bring([message(number)])
        bench.land(bench.batch(number + 1))
        return next(wait for count, wait in zip(*bench.asked(), strict=True) if count > 1)

    assert 0 < waited() <= 200, "a fifth of a linger"
    assert 200 < waited() <= 1_000
    bench.source.stop()


def test_bytes_end_a_batch_too() -> None:
    bench = Bench(Limits(10_000, 1_000, 0.01))
    bench.start()
    bench.bring([message(n, value=b"x" * 500) for n in range(16)], [message(16)])
    batch = bench.batch(1)
    assert batch.read == 16 and batch.behind
    assert bench.batch(2).read == 1
    for each in bench.got:
        bench.land(each)
    bench.source.stop()


def full(bench: Bench) -> None:
    bench.start()
    for number in range(4):
        bench.bring([message(number)])
        bench.batch(number + 1)


def test_without_room_it_polls_keeps_what_comes_and_goes_on_with_it(bench: Bench) -> None:
    full(bench)
    bench.bring([message(4)])
    wait_for("it polls all the same", lambda: not bench.consumer.polls)
    assert len(bench.got) == 4
    bench.land(bench.got[0])
    assert offsets_of(bench.batch(5)) == [(0, 4)]
    assert not bench.consumer.called("pause")[1:], "a pause would throw away what is fetched; the first is the assignment's"
    wait_for("the commit", lambda: bench.committed == {0: 1})


def test_without_room_it_pauses_when_it_keeps_too_much(bench: Bench) -> None:
    full(bench)
    bench.bring([message(4, value=b"x" * (KEPT_BYTES + 1))])
    wait_for("it pauses", lambda: bench.consumer.called("pause")[1:] == [("pause", {0, 1})])
    bench.bring([message(5)])
    wait_for("it polls all the same", lambda: not bench.consumer.polls)
    bench.land(bench.got[0])
    assert offsets_of(bench.batch(5)) == [(0, 4), (0, 5)]
    assert bench.consumer.called("pause", "resume")[-1] == ("resume", {0, 1})


def test_a_stop_lets_batches_on_their_way_land_and_commits_them() -> None:
    bench = Bench()
    bench.start()
    for number in (0, 1):
        bench.bring([message(number)])
        bench.batch(number + 1)
    stopping = threading.Thread(target=bench.source.stop)
    stopping.start()
    stopping.join(0.5)
    assert stopping.is_alive() and not bench.consumer.closed
    for batch in list(bench.got):
        bench.land(batch)
    stopping.join(10)
    assert not stopping.is_alive() and bench.consumer.closed and len(bench.consumers) == 1
    assert bench.committed == {0: 2} and not bench.errors


def test_a_process_that_stood_still_for_a_session_reads_again_from_the_committed_offsets(bench: Bench) -> None:
    bench.start()
    bench.bring([message(0)])
    bench.land(bench.batch(1))
    wait_for("the commit", lambda: bench.committed == {0: 1})
    bench.bring([message(1)])
    lost = bench.batch(2)
    bench.now += SESSION_MS / 1000
    wait_for("a new consumer", lambda: len(bench.consumers) == 2)
    assert bench.consumers[0].closed and bench.fence.generation == 1
    assert not bench.consumers[0].called("commit and wait")
    bench.give_up(lost)
    wait_for("partitions are read", lambda: bool(bench.consumer.called("resume")))
    assert bench.consumer.called("assign")[0][1][0] == 1, "behind the first batch"
    bench.bring([message(1)])
    again = bench.batch(3)
    assert offsets_of(again) == offsets_of(lost) and (lost.generation, again.generation) == (0, 1)


def test_a_fatal_error_of_the_consumer_is_another_consumer(bench: Bench) -> None:
    bench.start()

    def fenced() -> Sequence[Message]:
        error = KafkaError(KafkaError._FENCED, "fenced", True)
        assert error.fatal()
        bench.consumers[0].config["error_cb"](error)
        return [message(0)]

    bench.bring(fenced)
    wait_for("a new consumer", lambda: len(bench.consumers) == 2)
    assert bench.consumers[0].closed and not bench.got, "a record of an ended generation is no batch"


def test_brokers_that_are_all_away_are_a_reason_not_to_be_ready(bench: Bench) -> None:
    bench.start()
    bench.consumer.config["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert bench.vitals.unready() == ["kafka: no broker answers"]
    assert len(bench.consumers) == 1


def test_what_the_source_can_not_survive_stops_the_worker() -> None:
    bench = Bench()
    bench.start()
    bench.bring(RuntimeError("a bug"))
    wait_for("the failure", lambda: bool(bench.errors))
    assert [str(error) for error in bench.errors] == ["a bug"] and bench.consumer.closed


@pytest.mark.logs_errors
def test_offsets_that_can_not_be_read_travel_in_the_batch(bench: Bench) -> None:
    bench.start()
    bench.offsets._last_offset = lambda topic, partition, offset: 7
    bench.bring([message(4), message(5, error=KafkaError._BAD_MSG)])
    batch = bench.batch(1)
    assert batch.read == 2 and [passed[2:4] for passed in batch.unreadable] == [(5, 7)]
    assert [origin[1:4] for origin in batch.origins] == [(0, 4, 4), (0, 5, 7)]
    bench.land(batch)
    wait_for("the commit", lambda: bench.committed == {0: 8})
