"""Offsets: the one owner of partitions: where reading starts, which records go on, and which offsets are committed.

On assignment a partition is paused until its state in ClickHouse is loaded (`seed`); it starts at its committed offset, or at
the beginning when there is none. A committed offset that Kafka has no longer is held, never jumped over. On a planned revoke
the batches on their way get a few seconds to land, and are committed; else they are given up. An offset is committed only after
its batch has landed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.batch import Assigned, EventBatch, Partition, Unreadable
from pipeline.fence import INSERT_MAX_S, Fence, GivenUp
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.worker.commits import Commits
from pipeline.worker.lag import Lag
from pipeline.worker.read_errors import UNREADABLE, LastOffset, ReadErrors, partition_of

log = logging.getLogger("earshot.delivery")
TakeOver = Callable[[set[Partition]], None]
"""Gives the steps the state of those new partitions that this worker still owns. For the poll thread."""
FINISH_S = 5.0


class Offsets:
    """Owned by the poll thread; only `landed` is called by another, the landing agent.

    `seed(assigned)` reads the state of new partitions and may block; the poll thread calls its result with those partitions
    that this worker still owns. `leave(partitions)` drops the state of partitions that left, `leave(None)` that of all batches
    on their way. `drained(s)` waits until no batch is on its way, `quiet(s)` until no insert of this worker can be running on
    the server; both return whether it is so after `s` seconds."""

    def __init__(
        self,
        fence: Fence,
        vitals: Vitals,
        seed: Callable[[Sequence[Assigned]], TakeOver],
        leave: Callable[[set[Partition] | None], None],
        drained: Callable[[float], bool],
        quiet: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fence, self._vitals, self._clock = fence, vitals, clock
        self._seed, self._leave, self._drained, self._quiet = seed, leave, drained, quiet
        self.given_up = False
        self.lag = Lag()
        self._commits = Commits(fence, clock)
        self.on_commit = self._commits.on_commit
        self._errors = ReadErrors(vitals, self.give_up)
        self._consumer: Consumer | None = None
        self._owned: set[Partition] = set()
        # The seeding that each partition waits for: of a partition that left and came back, the newer one.
        self._unseeded: dict[Partition, Future[TakeOver]] = {}
        self._starts: dict[Partition, int] = {}
        self._kept: list[Message] = []
        self._seeder = ThreadPoolExecutor(1, thread_name_prefix="seeding")
        vitals.hold("partitions", "none is assigned yet")

    def open(self, consumer: Consumer, topic: str, last_offset: LastOffset) -> None:
        """Joins the group. Nothing of an earlier consumer is left."""
        self.given_up = False
        self._consumer, self._last_offset = consumer, last_offset
        self._owned, self._unseeded, self._kept = set(), {}, []
        self._commits.reset()
        self._vitals.hold("partitions", "none is assigned yet")
        consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def close(self) -> None:
        """Lets the batches on their way land and commits them, unless they are given up; leaves the group."""
        assert self._consumer is not None
        if not self.given_up:
            self._finish()
        else:
            self._quiet(INSERT_MAX_S + 1)
        for future in self._unseeded.values():
            future.cancel()
        self._drop(set(self._owned))
        self._leave(None)
        consumer, self._consumer = self._consumer, None
        consumer.close()
        self._vitals.hold("partitions", "this worker is not in the group")

    def give_up(self, why: str) -> None:
        """Ends the generation: batches on their way are never written, and a new consumer reads their records again."""
        log.warning("batches in flight are given up: %s", why)
        self._fence.end_generation()
        self.given_up = True

    def landed(self, batch: EventBatch) -> None:
        """The poll thread commits the batch at its next turn. From the landing agent. Raises GivenUp as Commits.landed does."""
        self._commits.landed(batch)
        self.lag.landed(batch.origins)

    def commit(self, wait: bool = False) -> None:
        """Commits the batches that have landed."""
        self._commits.send(self._consumer, wait)

    def ours(self, messages: list[Message]) -> tuple[list[Message], list[Unreadable]]:
        """The records of owned and seeded partitions, and the offsets that can't be read; keeps the records of partitions that
        are not seeded yet for later."""
        if not self._unseeded and not self._errors.stuck and not any(message.error() for message in messages):
            partitions = {message.partition() for message in messages}
            if partitions <= {number for _, number in self._owned}:
                return messages, []
        assert self._consumer is not None
        good: list[Message] = []
        unreadable: list[Unreadable] = []
        sought: set[Partition] = set()
        for message in messages:
            partition, error = partition_of(message), message.error()
            if partition in sought:
                continue  # it comes again; librdkafka repeats such an error as long as nobody seeks
            if error and error.code() in UNREADABLE and partition in self._owned - self._unseeded.keys():
                unreadable += self._errors.pass_over(self._consumer, message, error, self._last_offset)
                sought.add(partition)
            elif error:
                self._on_message_error(partition, error)
            elif partition in self._unseeded:
                self._kept.append(message)
            elif partition in self._owned:
                self._errors.reads_on(partition)
                good.append(message)
        return good, unreadable

    def keep(self, messages: list[Message]) -> None:
        """Keeps records that came without being asked for."""
        self._kept += messages

    def take_kept(self) -> list[Message]:
        """The kept records; those of partitions that left are not among them."""
        kept, self._kept = self._kept, []
        return kept

    def pause(self) -> None:
        """Stops fetching."""
        assert self._consumer is not None
        self._consumer.pause([TopicPartition(*partition) for partition in self._owned])

    def resume(self) -> None:
        """Fetches again, except for partitions that are held or not seeded."""
        assert self._consumer is not None
        readable = self._owned - self._unseeded.keys() - self._errors.held
        self._consumer.resume([TopicPartition(*partition) for partition in readable])

    def resume_seeded(self) -> None:
        """Starts the partitions whose seeding is done. Raises a fatal error of seeding."""
        for future in {future for future in self._unseeded.values() if future.done()}:
            partitions = {partition for partition, awaited in self._unseeded.items() if awaited is future}
            try:
                take_over = future.result()
            except GivenUp:
                self.give_up("their seeding was interrupted")
                return
            take_over(partitions)
            for partition in partitions:
                del self._unseeded[partition]
            if self._consumer is not None:
                starts = {each: self._starts[each] for each in partitions}
                self._kept = self._errors.start(self._consumer, starts, self._kept)
        self._show_ready()

    def _show_ready(self) -> None:
        if not self._owned:
            self._vitals.hold("partitions", "none is assigned")
        elif self._unseeded:
            self._vitals.hold("partitions", f"{len(self._unseeded)} of {len(self._owned)} are not seeded yet")
        else:
            self._vitals.clear("partitions")
        states = {"seeding": len(self._unseeded), "held": len(self._errors.held - self._unseeded.keys())}
        for state, count in (states | {"reading": len(self._owned) - sum(states.values())}).items():
            metrics.PARTITIONS.labels(state).set(count)
        self.lag.own({number for _, number in self._owned})

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Not while closing: librdkafka then never answers for committed offsets, and takes back its assignment by itself.
        if not partitions or self._consumer is None:
            return
        try:
            committed = consumer.committed(partitions, timeout=10)
            if failed := [p.error for p in committed if p.error]:
                raise KafkaException(failed[0])
        except KafkaException as error:
            self.give_up(f"committed offsets can't be read: {error}")
            committed = partitions
        for partition in committed:
            partition.offset = partition.offset if partition.offset >= 0 else OFFSET_BEGINNING
        consumer.incremental_assign(committed)
        consumer.pause(committed)
        new = {(p.topic, p.partition): p.offset for p in committed}
        self._owned |= new.keys()
        self._starts |= new
        for partition in committed:
            if partition.offset >= 0:
                self.lag.starts(partition.partition, partition.offset)
        assigned = [Assigned(p.topic, p.partition, p.offset if p.offset >= 0 else None) for p in committed]
        self._unseeded |= dict.fromkeys(new, self._seeder.submit(self._seed_quietly, assigned))
        self._show_ready()
        self._fence.polled()

    def _seed_quietly(self, assigned: Sequence[Assigned]) -> TakeOver:
        # The seed must see the rows that an insert of this worker, given up a moment ago, may still be writing.
        generation = self._fence.generation
        while not self._quiet(1.0):
            self._fence.check(generation)
        return self._seed(assigned)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self.given_up:
            self._finish()
        self._drop({(p.topic, p.partition) for p in partitions})
        consumer.incremental_unassign(partitions)

    def _finish(self) -> None:
        """The owner's last duty: land and commit the batches on their way, or give them up and let no insert run on."""
        end = self._clock() + FINISH_S
        while not (done := self._drained(0.2)) and self._clock() < end:
            self._fence.polled()
        if not done:
            self.give_up(f"they did not land within {FINISH_S:.0f} s of a revoke")
            self._quiet(INSERT_MAX_S + 1)
        self._fence.polled()
        self.commit(wait=True)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.give_up(f"{len(partitions)} partitions were lost to the group")
        self._drop({(p.topic, p.partition) for p in partitions})

    def _drop(self, partitions: set[Partition]) -> None:
        self._owned -= partitions
        for partition in partitions:
            self._unseeded.pop(partition, None)
        self._kept = [message for message in self._kept if partition_of(message) not in partitions]
        self._commits.drop(partitions, none_left=not self._owned)
        self._errors.drop(partitions)
        self._leave(partitions)
        self._show_ready()

    def _on_message_error(self, partition: Partition, error: KafkaError) -> None:
        assert self._consumer is not None
        if error.code() != KafkaError._AUTO_OFFSET_RESET:
            log.warning("Kafka: %s", error.str())
        elif partition in self._owned:
            self._errors.hold(self._consumer, partition, error)
            self._show_ready()
