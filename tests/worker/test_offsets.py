"""Offsets with a scripted consumer and a clock: assignment, loss, commits, records that can't be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from pipeline.batch import Assigned, EventBatch, Origin, Partition, Unreadable
from pipeline.errors import EarshotError
from pipeline.fence import Fence, GivenUp
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.sources.memory import batch_of
from pipeline.worker.offsets import FINISH_S, Offsets, TakeOver
from tests.support.scripted_consumer import TOPIC, ScriptedConsumer, message
from tests.support.worker import wait_for

BAD = KafkaError._BAD_COMPRESSION


def batch(number: int = 1, generation: int = 0, **last: int) -> EventBatch:
    """A batch that covers partitions p0, p1... up to these offsets."""
    made = batch_of([], batch_id=number)
    made.generation = generation
    made.origins = tuple(Origin(TOPIC, int(name[1:]), 0, offset) for name, offset in last.items())
    return made


class Bench:
    """One worker's offsets; `now` is the clock, `flying` says whether batches are on their way."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fence, self.vitals, self.consumer = Fence(lambda: self.now), Vitals(), ScriptedConsumer()
        self.flying, self.quiet_for = False, list[float]()
        self.seeded: list[Sequence[Assigned]] = []
        self.taken_over: list[set[Partition]] = []
        self.left: list[set[Partition] | None] = []
        self.seeding = threading.Event()
        self.seeding.set()
        self.interrupted = False
        self.last: int | None = None
        self.offsets = Offsets(
            self.fence, self.vitals, self._seed, self.left.append, self._drained, self._quiet, lambda: self.now
        )
        self.open()

    def open(self) -> None:
        self.offsets.open(cast(Any, self.consumer), TOPIC, self._last_offset)

    def _seed(self, assigned: Sequence[Assigned]) -> TakeOver:
        self.seeded.append(assigned)
        assert self.seeding.wait(10)
        if self.interrupted:
            raise GivenUp
        return self.taken_over.append

    def _drained(self, seconds: float) -> bool:
        self.now += seconds
        return not self.flying

    def _quiet(self, seconds: float) -> bool:
        self.quiet_for.append(seconds)
        return True

    def _last_offset(self, topic: str, partition: int, offset: int) -> int:
        if self.last is None:
            raise EarshotError("nobody knows")
        return self.last

    def own(self, *numbers: int) -> None:
        """These are assigned and seeded."""
        self.consumer.assign(*numbers)
        wait_for("all is seeded", self.all_seeded)

    def all_seeded(self) -> bool:
        self.offsets.resume_seeded()
        return not self.reasons()

    def reasons(self) -> list[str]:
        return [reason for reason in self.vitals.unready() if reason.startswith("partitions:")]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.seeding.set()


def partitions(*numbers: int) -> set[Partition]:
    return {(TOPIC, number) for number in numbers}


# --- assignment -------------------------------------------------------------------------------------------------------
def test_a_new_partition_starts_at_its_committed_offset_and_is_read_once_it_is_seeded(bench: Bench) -> None:
    bench.consumer.committed_offsets = {1: 40}
    bench.seeding.clear()
    bench.consumer.assign(0, 1)
    assert bench.consumer.called("assign", "pause", "resume") == [
        ("assign", {0: OFFSET_BEGINNING, 1: 40}),
        ("pause", {0, 1}),
    ]
    assert bench.reasons() == ["partitions: 2 of 2 are not seeded yet"]
    bench.offsets.resume_seeded()
    assert not bench.consumer.called("resume")
    bench.seeding.set()
    wait_for("all is seeded", bench.all_seeded)
    assert bench.seeded == [[Assigned(TOPIC, 0, None), Assigned(TOPIC, 1, 40)]]
    assert bench.taken_over == [partitions(0, 1)]
    resumed, *sought = bench.consumer.called("resume", "seek")
    assert resumed == ("resume", {0, 1}) and sorted(sought) == [("seek", (0, OFFSET_BEGINNING)), ("seek", (1, 40))]
    assert bench.quiet_for == [1.0], "no insert of this worker may still be writing when the seed is read"


def test_records_that_come_before_their_partition_is_seeded_are_read_again(bench: Bench) -> None:
    bench.own(0)
    bench.seeding.clear()
    bench.consumer.assign(1)
    records = [message(0), message(7, partition=1), message(1), message(3, partition=5)]
    good, unreadable = bench.offsets.ours(records)
    assert [(m.partition(), m.offset()) for m in good] == [(0, 0), (0, 1)], "and partition 5 is another worker's"
    assert not unreadable
    bench.seeding.set()
    wait_for("all is seeded", bench.all_seeded)
    assert not bench.offsets.take_kept() and not bench.offsets.given_up


@pytest.mark.parametrize("again", [True, False])
def test_records_from_before_a_partition_came_back_are_never_taken_for_those_at_its_start(bench: Bench, again: bool) -> None:
    bench.own(0)
    in_hand = [message(7)] if again else []  # read by the same call that serves both rebalances
    bench.consumer.revoke(0)
    bench.consumer.failing["seek"] = KafkaException(KafkaError(KafkaError._STATE))
    bench.seeding.clear()
    bench.consumer.assign(0)
    assert bench.offsets.ours(in_hand) == ([], [])
    bench.seeding.set()
    wait_for("all is seeded", lambda: bench.all_seeded() or bench.offsets.given_up)
    assert bench.offsets.given_up == again, "without a seek nobody knows what is missing before them"
    assert not bench.offsets.take_kept()


def test_a_partition_that_leaves_before_it_is_seeded_is_not_taken_over(bench: Bench) -> None:
    bench.seeding.clear()
    bench.consumer.assign(0, 1)
    bench.offsets.keep([message(1), message(1, partition=1)])
    bench.consumer.revoke(0)
    bench.seeding.set()
    wait_for("all is seeded", bench.all_seeded)
    assert bench.taken_over == [partitions(1)] and bench.left == [partitions(0)]
    assert bench.consumer.called("seek") == [("seek", (1, OFFSET_BEGINNING))]


def test_a_partition_that_comes_back_waits_for_its_new_seed(bench: Bench) -> None:
    bench.seeding.clear()
    bench.consumer.assign(0)
    bench.consumer.revoke(0)
    bench.consumer.committed_offsets = {0: 9}
    bench.consumer.assign(0)
    bench.seeding.set()
    wait_for("all is seeded", bench.all_seeded)
    assert [assigned[0].committed for assigned in bench.seeded] == [None, 9]
    assert bench.taken_over == [partitions(0)]


def test_without_committed_offsets_from_kafka_the_generation_ends(bench: Bench) -> None:
    bench.consumer.failing["committed"] = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    bench.consumer.assign(0)
    assert bench.offsets.given_up and bench.fence.generation == 1


def test_a_seeding_that_is_interrupted_gives_up(bench: Bench) -> None:
    bench.interrupted = True
    bench.consumer.assign(0)

    def given_up() -> bool:
        bench.offsets.resume_seeded()
        return bench.offsets.given_up

    wait_for("it is given up", given_up)
    assert not bench.taken_over


# --- commits ----------------------------------------------------------------------------------------------------------
def test_offsets_are_committed_after_their_batch_has_landed_the_newest_of_a_partition(bench: Bench) -> None:
    bench.own(0, 1)
    bench.offsets.commit()
    assert not bench.consumer.called("commit")
    bench.offsets.landed(batch(1, p0=4))
    bench.offsets.landed(batch(2, p0=9, p1=2))
    bench.offsets.commit()
    bench.offsets.commit()
    assert bench.consumer.called("commit") == [("commit", {0: 10, 1: 3})]


def test_a_commit_that_a_rebalance_overtook_is_sent_again_and_never_an_older_one(bench: Bench) -> None:
    bench.own(0, 1)
    bench.offsets.landed(batch(1, p0=4, p1=4))
    bench.offsets.commit()
    bench.offsets.landed(batch(2, p0=9))
    failed = [TopicPartition(TOPIC, 0, 5), TopicPartition(TOPIC, 1, 5)]
    bench.offsets.on_commit(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), failed)
    bench.offsets.commit()
    assert bench.consumer.called("commit")[1:] == [("commit", {0: 10, 1: 5})]


def test_the_age_of_a_commit_counts_from_the_landing(bench: Bench) -> None:
    def age() -> float | None:
        return metrics.REGISTRY.get_sample_value("earshot_commit_age_seconds")

    bench.own(0)
    assert age() == 0
    bench.offsets.landed(batch(1, p0=4))
    bench.now += 7
    assert age() == 7
    bench.offsets.commit()
    bench.now += 1
    assert age() == 8, "nobody has answered"
    bench.offsets.on_commit(None, [TopicPartition(TOPIC, 0, 5)])
    assert age() == 0


def test_a_commit_that_fails_costs_nothing(bench: Bench) -> None:
    bench.own(0)
    bench.consumer.failing["commit"] = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    bench.offsets.landed(batch(1, p0=4))
    bench.offsets.commit()
    assert not bench.offsets.given_up


def test_a_batch_of_an_ended_generation_is_not_committed(bench: Bench) -> None:
    bench.own(0)
    bench.offsets.give_up("a test")
    with pytest.raises(GivenUp):
        bench.offsets.landed(batch(1, p0=4))
    bench.offsets.commit()
    assert not bench.consumer.called("commit")


# --- partitions that leave --------------------------------------------------------------------------------------------
def test_a_revoke_waits_for_batches_on_their_way_and_commits_them_before_the_partition_goes(bench: Bench) -> None:
    bench.own(0, 1)
    bench.flying = True

    def drained(seconds: float) -> bool:
        bench.now += seconds
        if bench.now > 102:
            bench.flying = False
            bench.offsets.landed(batch(1, p0=4))
        return not bench.flying

    bench.offsets._drained = drained
    bench.consumer.revoke(0)
    assert bench.consumer.called("commit", "commit and wait", "unassign") == [("commit and wait", {0: 5}), ("unassign", {0})]
    assert not bench.offsets.given_up and bench.left == [partitions(0)]
    assert bench.offsets.ours([message(5), message(0, partition=1)])[0][0].partition() == 1


def test_batches_that_do_not_land_in_time_are_given_up(bench: Bench) -> None:
    bench.own(0)
    bench.flying, started = True, bench.now
    bench.consumer.revoke(0)
    assert bench.offsets.given_up and bench.fence.generation == 1
    assert FINISH_S <= bench.now - started < FINISH_S + 1
    assert bench.quiet_for[-1] > 5, "no insert of this worker may run on when the next owner reads"
    assert not bench.consumer.called("commit and wait")
    with pytest.raises(GivenUp):
        bench.offsets.landed(batch(1, p0=4))


def test_partitions_that_are_lost_end_the_generation_at_once(bench: Bench) -> None:
    bench.own(0)
    bench.flying = True
    bench.offsets.landed(batch(1, p0=4))
    bench.consumer.lose(0)
    bench.offsets.commit()
    assert bench.offsets.given_up and bench.fence.generation == 1 and bench.left == [partitions(0)]
    assert not bench.consumer.called("commit", "commit and wait"), "they are another worker's by now"
    assert bench.now == 100.0


def test_closing_lets_batches_land_commits_them_and_forgets_all(bench: Bench) -> None:
    bench.own(0)
    bench.offsets.landed(batch(1, p0=4))
    bench.offsets.close()
    assert bench.consumer.called("commit and wait", "close") == [("commit and wait", {0: 5}), ("close", None)]
    assert bench.left == [partitions(0), None]
    assert bench.reasons() == ["partitions: this worker is not in the group"]


def test_closing_what_was_given_up_commits_nothing_and_waits_for_running_inserts(bench: Bench) -> None:
    bench.own(0)
    bench.offsets.landed(batch(1, p0=4))
    bench.offsets.give_up("a test")
    bench.offsets.close()
    assert not bench.consumer.called("commit", "commit and wait")
    assert bench.quiet_for[-1] > 5 and bench.left[-1] is None
    bench.consumer = ScriptedConsumer()
    bench.open()
    bench.own(0)
    assert not bench.offsets.given_up
    bench.offsets.commit()
    assert not bench.consumer.called("commit"), "nothing of an earlier consumer is left"


# --- records that can't be read ---------------------------------------------------------------------------------------
@pytest.mark.logs_errors
def test_an_offset_that_kafka_has_no_longer_holds_its_partition(bench: Bench) -> None:
    bench.own(0, 1)
    good, _ = bench.offsets.ours([message(3, error=KafkaError._AUTO_OFFSET_RESET), message(4, partition=1)])
    assert [m.partition() for m in good] == [1]
    (held,) = bench.vitals.unready()
    assert held.startswith(f"{TOPIC}[0]: the next offset to read is not in Kafka any more")
    assert bench.consumer.calls[-1] == ("pause", {0})
    bench.offsets.pause()
    bench.offsets.resume()
    assert bench.consumer.calls[-2:] == [("pause", {0, 1}), ("resume", {1})]
    bench.consumer.revoke(0)
    assert not bench.vitals.unready()


def test_other_errors_of_kafka_are_no_reason_to_stop(bench: Bench) -> None:
    bench.own(0)
    good, unreadable = bench.offsets.ours([message(0, error=KafkaError._TRANSPORT), message(1)])
    assert [m.offset() for m in good] == [1] and not unreadable and not bench.vitals.unready()


@pytest.mark.logs_errors
def test_records_that_can_not_be_unpacked_are_passed_over_as_one(bench: Bench) -> None:
    bench.own(0)
    bench.last = 8
    good, unreadable = bench.offsets.ours([message(4), message(5, error=BAD), message(5, error=BAD), message(6)])
    assert [m.offset() for m in good] == [4], "what comes behind the error comes again after the seek"
    assert [passed[:4] for passed in unreadable] == [(TOPIC, 0, 5, 8)] and isinstance(unreadable[0], Unreadable)
    assert bench.consumer.called("seek")[1:] == [("seek", (0, 9))]


@pytest.mark.logs_errors
def test_without_an_end_of_the_unreadable_batch_the_partition_asks_again(bench: Bench) -> None:
    bench.own(0)
    assert bench.offsets.ours([message(5, error=BAD)]) == ([], [])
    (held,) = bench.vitals.unready()
    assert "nor where to read on: nobody knows" in held
    assert bench.consumer.called("seek")[1:] == [("seek", (0, 5))]
    bench.last = 6
    _, unreadable = bench.offsets.ours([message(5, error=BAD)])
    assert [passed[2:4] for passed in unreadable] == [(5, 6)] and not bench.vitals.unready()


@pytest.mark.logs_errors
def test_a_stuck_partition_that_gives_a_record_after_all_is_read(bench: Bench) -> None:
    bench.own(0)
    bench.offsets.ours([message(5, error=BAD)])
    good, _ = bench.offsets.ours([message(5)])
    assert len(good) == 1 and not bench.vitals.unready()


@pytest.mark.logs_errors
def test_a_seek_that_fails_gives_up(bench: Bench) -> None:
    bench.own(0)
    bench.last = 6
    bench.consumer.failing["seek"] = KafkaException(KafkaError(KafkaError._STATE))
    bench.offsets.ours([message(5, error=BAD)])
    assert bench.offsets.given_up
