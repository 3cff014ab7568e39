"""Offsets: the one place that knows which partitions are ours, where reading starts, and what is committed.

On assignment a partition is paused until what ClickHouse knows of it is loaded (`seed`); it starts at its committed offset, or
at the beginning when there is none. A committed offset that Kafka has no longer is held, never jumped over. On a planned revoke
the batches on their way get a few seconds to land, and are committed; else they are given up. An offset is committed only after
its batch has landed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.batch import Assigned, EventBatch, Partition, Unreadable
from pipeline.errors import EarshotError
from pipeline.fence import INSERT_MAX_S, Fence, GivenUp
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.worker.lag import Lag

log = logging.getLogger("earshot.delivery")
LastOffset = Callable[[str, int, int], int]
"""Of topic, partition, offset: the last offset of the batch of records that holds it. Raises EarshotError when nobody knows."""
FINISH_S = 5.0
UNREADABLE = {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG}
"""What librdkafka says, at each try, of a batch of records that it can't unpack: too large, or broken."""


class Offsets:
    """Owned by the poll thread; only `landed` is called by another, the landing agent.

    `seed(assigned)` reads the known revisions and waiting changes of new partitions and may block; what it returns takes them
    over, for those partitions that are still ours by then. `forget(partitions)` drops the waiting changes of partitions that
    left, `forget(None)` all that is on its way. `drained(s)` waits until no batch is on
    its way, `quiet(s)` until none of our inserts can be running on the server.
    """

    def __init__(
        self,
        fence: Fence,
        vitals: Vitals,
        seed: Callable[[Sequence[Assigned]], Callable[[set[Partition]], None]],
        forget: Callable[[set[Partition] | None], None],
        drained: Callable[[float], bool],
        quiet: Callable[[float], bool],
        waiting: Callable[[], bool],
    ) -> None:
        self._fence = fence
        self._vitals = vitals
        self._seed, self._forget, self._drained, self._quiet = seed, forget, drained, quiet
        self.waiting = waiting
        self.given_up = False
        self.lag = Lag()
        self._consumer: Consumer | None = None
        self._owned: set[Partition] = set()
        # The seeding that each partition waits for: of a partition that left and came back, the newer one.
        self._unseeded: dict[Partition, Future[Callable[[set[Partition]], None]]] = {}
        self._held: set[Partition] = set()
        self._endless: set[Partition] = set()
        """Those that stand at a batch that can't be read, and nobody knows where it ends."""
        self._kept: list[Message] = []
        self._landed: dict[Partition, int] = {}
        self._uncommitted: list[int] = []
        self._sent: dict[Partition, int] = {}
        self._uncommitted_since: float | None = None
        metrics.COMMIT_AGE.set_function(self._commit_age)
        self._lock = threading.Lock()
        self._seeder = ThreadPoolExecutor(1, thread_name_prefix="seeding")
        vitals.hold("partitions", "none is assigned yet")

    def open(self, consumer: Consumer, topic: str, last_offset: LastOffset) -> None:
        """Joins the group. Nothing of an earlier consumer is left."""
        self.given_up = False
        self._consumer, self._last_offset = consumer, last_offset
        self._owned, self._unseeded, self._kept = set(), {}, []
        self._landed, self._uncommitted, self._sent, self._uncommitted_since = {}, [], {}, None
        self._vitals.hold("partitions", "none is assigned yet")
        consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def close(self) -> None:
        """Lets the batches on their way land and commits them, unless they are given up; leaves the group."""
        assert self._consumer is not None
        if not self.given_up:
            self._finish()
        else:
            self._quiet(INSERT_MAX_S + 1)
        self._end()
        consumer, self._consumer = self._consumer, None
        consumer.close()
        self._vitals.hold("partitions", "this worker is not in the group")

    def give_up(self, why: str) -> None:
        """Ends the generation: what is on its way is never written, and a new consumer reads it again."""
        log.warning("batches in flight are given up: %s", why)
        self._fence.end_generation()
        self.given_up = True

    def landed(self, batch: EventBatch) -> None:
        """The batch has landed: the poll thread commits it at its next turn. From the landing agent.

        Raises GivenUp when its generation is over: its records are read again.
        """
        with self._lock:
            self._fence.check(batch.generation)
            for origin in batch.origins:
                self._landed[origin.topic, origin.partition] = origin.last + 1
            self._uncommitted.append(batch.id)
            if self._landed and self._uncommitted_since is None:
                self._uncommitted_since = time.monotonic()
        self.lag.landed(batch.origins)

    def commit(self, wait: bool = False) -> None:
        """Commits what has landed. A commit that fails costs nothing: its records are read again, and known."""
        with self._lock:
            positions = [TopicPartition(*place, offset) for place, offset in self._landed.items()]
            self._sent |= self._landed
            batches, self._landed, self._uncommitted = self._uncommitted, {}, []
        if not positions or self._consumer is None:
            return
        try:
            if wait:
                self._consumer.commit(offsets=positions, asynchronous=False)
                self._committed()
            else:
                self._consumer.commit(offsets=positions, asynchronous=True)
        except KafkaException as error:
            log.warning("commit: %s", error)
            return
        for batch in batches:
            log.debug("batch %d committed", batch)

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What an asynchronous commit came to; on the poll thread. One that a rebalance overtook is sent again."""
        with self._lock:
            for partition in partitions:
                place = (partition.topic, partition.partition)
                if (error or partition.error) and place in self._sent:
                    # Never an older offset than was sent since: a commit may go backwards.
                    self._landed.setdefault(place, self._sent[place])
        if not error and not any(partition.error for partition in partitions):
            self._committed()

    def _committed(self) -> None:
        with self._lock:
            self._uncommitted_since = time.monotonic() if self._landed else None

    def _commit_age(self) -> float:
        since = self._uncommitted_since
        return 0.0 if since is None else time.monotonic() - since

    def ours(self, messages: list[Message]) -> tuple[list[Message], list[Unreadable]]:
        """The records of partitions that are ours and seeded, and what can't be read of them; the records of those that are not
        seeded yet are kept for later."""
        if not self._unseeded and not self._endless and not any(message.error() for message in messages):
            partitions = {message.partition() for message in messages}
            if partitions <= {partition for _, partition in self._owned}:
                return messages, []
        good: list[Message] = []
        unreadable: list[Unreadable] = []
        sought: set[Partition] = set()
        for message in messages:
            place, error = _place(message), message.error()
            if place in sought:
                continue  # it comes again; librdkafka repeats such an error as long as nobody seeks
            if error and error.code() in UNREADABLE and place in self._owned - self._unseeded.keys():
                unreadable += self._pass(message, error)
                sought.add(place)
            elif error:
                self._on_message_error(place, error)
            elif place in self._unseeded:
                self._kept.append(message)
            elif place in self._owned:
                self._reads_on(place)
                good.append(message)
        return good, unreadable

    def keep(self, messages: list[Message]) -> None:
        self._kept += messages

    def take_kept(self) -> list[Message]:
        kept, self._kept = self._kept, []
        return kept

    def pause(self) -> None:
        assert self._consumer is not None
        self._consumer.pause([TopicPartition(*place) for place in self._owned])

    def resume(self) -> None:
        assert self._consumer is not None
        self._consumer.resume([TopicPartition(*place) for place in self._owned - self._unseeded.keys() - self._held])

    def resume_seeded(self) -> None:
        """Starts the partitions whose seeding is done. Raises what seeding could not survive."""
        for future in {future for future in self._unseeded.values() if future.done()}:
            places = {place for place, awaited in self._unseeded.items() if awaited is future}
            try:
                take_over = future.result()
            except GivenUp:
                self.give_up("their seeding was interrupted")
                return
            take_over(places)
            for place in places:
                del self._unseeded[place]
            if self._consumer is not None:
                self._consumer.resume([TopicPartition(*place) for place in places - self._held])
                log.info("reading %s", _names(places - self._held))
        self._say_ready()

    def _say_ready(self) -> None:
        if not self._owned:
            self._vitals.hold("partitions", "none is assigned")
        elif self._unseeded:
            self._vitals.hold("partitions", f"{len(self._unseeded)} of {len(self._owned)} are not seeded yet")
        else:
            self._vitals.clear("partitions")
        states = {"seeding": len(self._unseeded), "held": len(self._held - self._unseeded.keys())}
        for state, count in (states | {"reading": len(self._owned) - sum(states.values())}).items():
            metrics.PARTITIONS.labels(state).set(count)
        self.lag.own({partition for _, partition in self._owned})

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Not while closing: librdkafka then never answers for committed offsets, and takes back what it assigns by itself.
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
        places = {(p.topic, p.partition) for p in committed}
        self._owned |= places
        for partition in committed:
            if partition.offset >= 0:
                self.lag.starts(partition.partition, partition.offset)
        assigned = [Assigned(p.topic, p.partition, p.offset if p.offset >= 0 else None) for p in committed]
        self._unseeded |= dict.fromkeys(places, self._seeder.submit(self._seed_quietly, assigned))
        self._say_ready()
        self._fence.polled()

    def _seed_quietly(self, assigned: Sequence[Assigned]) -> Callable[[set[Partition]], None]:
        # What an insert of ours, given up a moment ago, may still be writing must be there to be seen.
        generation = self._fence.generation
        while not self._quiet(1.0):
            self._fence.check(generation)
        return self._seed(assigned)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = {(p.topic, p.partition) for p in partitions}
        if not self.given_up:
            self._finish()
        self._drop(places)
        consumer.incremental_unassign(partitions)

    def _finish(self) -> None:
        """The owner's last duty: land and commit what is on its way, or give it up and let no insert run on."""
        end = time.monotonic() + FINISH_S
        while not (done := self._drained(0.2)) and time.monotonic() < end:
            self._fence.polled()
        if not done:
            self.give_up(f"they did not land within {FINISH_S:.0f} s of a revoke")
            self._quiet(INSERT_MAX_S + 1)
        self._fence.polled()
        self.commit(wait=True)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.give_up(f"{len(partitions)} partitions were lost to the group")
        self._drop({(p.topic, p.partition) for p in partitions})

    def _drop(self, places: set[Partition]) -> None:
        self._owned -= places
        for place in places:
            self._unseeded.pop(place, None)
        self._kept = [message for message in self._kept if _place(message) not in places]
        with self._lock:
            for place in places:
                self._landed.pop(place, None)
                self._sent.pop(place, None)
            if not self._owned:
                self._uncommitted_since = None
        for place in places & (self._held | self._endless):
            self._vitals.clear(_names({place}))
        self._held -= places
        self._endless -= places
        self._forget(places)
        self._say_ready()

    def _end(self) -> None:
        for future in self._unseeded.values():
            future.cancel()
        self._drop(set(self._owned))
        self._forget(None)

    def _on_message_error(self, place: Partition, error: KafkaError) -> None:
        if error.code() != KafkaError._AUTO_OFFSET_RESET:
            log.warning("Kafka: %s", error.str())
        elif place in self._owned:
            self._hold(place, error)

    def _hold(self, place: Partition, error: KafkaError) -> None:
        self._held.add(place)
        self._say_ready()
        if self._consumer is not None:
            self._consumer.pause([TopicPartition(*place)])
        why = f"the next offset to read is not in Kafka any more ({error.str()}): see `earshot offsets accept-loss`"
        self._vitals.hold(_names({place}), why)
        log.error("%s is held: %s", _names({place}), why)

    def _pass(self, message: Message, error: KafkaError) -> list[Unreadable]:
        """Reads on behind the batch of records that `message` names the first offset of; librdkafka would ask for it for ever.
        While nobody knows where it ends, the partition stands: it is asked for again."""
        place, first = _place(message), message.offset() or 0
        try:
            last = self._last_offset(*place, first)
        except EarshotError as unknown:
            why = f"offset {first} can't be read ({error.str()}), nor where to read on: {unknown}"
            self._vitals.hold(_names({place}), why)
            if place not in self._endless:
                log.error("%s is held: %s", _names({place}), why)
            self._endless.add(place)
            self._seek(place, first)
            return []
        self._reads_on(place)
        log.error("%s offsets %d to %d can't be read, they become a dead letter: %s", _names({place}), first, last, error.str())
        self._seek(place, last + 1)
        return [Unreadable(*place, first, last, error.str())]

    def _reads_on(self, place: Partition) -> None:
        if place in self._endless:
            self._endless.discard(place)
            self._vitals.clear(_names({place}))

    def _seek(self, place: Partition, offset: int) -> None:
        """Reads on there. What librdkafka has of before is thrown away, errors too."""
        assert self._consumer is not None
        try:
            self._consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            self.give_up(f"{_names({place})} can't be read on from offset {offset}: {error}")


def _place(message: Message) -> Partition:
    return message.topic() or "", message.partition() or 0


def _names(places: set[Partition]) -> str:
    return " ".join(f"{topic}[{partition}]" for topic, partition in sorted(places))
