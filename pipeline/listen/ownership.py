"""Who runs which source: the group `<group>-listen` gives each partition of topic cursors to one listener, which runs the
sources of that partition. Sources that share a credential share a partition, so each rate limit has one owner.

A partition that comes is read from its beginning to its end, and followed from then on: so its owner sees pauses, and the
records of another listener that took it over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from xxhash import xxh3_64_intdigest

from pipeline.config.settings import KafkaSettings
from pipeline.errors import UnreachableError
from pipeline.kafka.client import error_text
from pipeline.listen.record import Newest, Pause, read
from pipeline.monitoring.health import Vitals

SESSION_MS = 6_000
"""The least that Kafka allows by default: a listener that was killed is replaced after it."""
HAND_OVER_S = 4.0
"""So long a revoked partition's sources may take to write how far they are."""
POLL_S = 0.1
QUEUE_KB = 4 << 10
"""What librdkafka reads ahead: a record has some hundred kilobytes."""
log = logging.getLogger("earshot.listen")


def partition_of(credential: str, partitions: int) -> int:
    """The partition of the sources with this credential."""
    return xxh3_64_intdigest(credential.encode()) % partitions


class Ownership:
    """Follows the partitions that the group gives to this listener, on a thread of its own. `changed` is called in the event
    loop when partitions came or went, a source was paused, or another listener took one over; it returns once the sources of
    partitions that went have stopped.

    Restart: it reads all partitions again. Raises UnreachableError when the topic is not there.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        vitals: Vitals,
        changed: Callable[[], Awaitable[None]],
        give_up: Callable[[], None],
        polled: Callable[[], None] = lambda: None,
    ) -> None:
        """Both are called on the thread: `give_up` when another listener may have partitions whose sources have not stopped,
        `polled` before each question to the group."""
        self.newest = Newest()
        self.owned: frozenset[int] = frozenset()
        """Partitions that are read to their end."""
        self._reading: set[int] = set()
        self._vitals, self._changed, self._give_up, self._polled = vitals, changed, give_up, polled
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Gets the error that ended the thread, or of `changed`."""
        self._stop = threading.Event()
        self._calls = False
        """Whether a call of `changed` is about to begin, which sees all that has changed until then."""
        self._topic = kafka.topic("cursors")
        self._consumer = Consumer(
            {
                **kafka.client(),
                "group.id": f"{kafka.group}-listen",
                "client.id": "earshot-listen",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "partition.assignment.strategy": "cooperative-sticky",
                "queued.max.messages.kbytes": QUEUE_KB,
                "fetch.max.bytes": QUEUE_KB << 10,
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 4,
                "log_level": 0,
            }
        )
        self.partitions = self._count()
        self._thread = threading.Thread(target=self._follow, name="ownership")

    def start(self) -> None:
        """Joins the group."""
        self._vitals.hold("partitions", "joins the group of listeners")
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        self._thread.start()

    async def close(self) -> None:
        """Leaves the group; `changed` is called for the partitions that go."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _count(self) -> int:
        try:
            topic = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic]
        except (KafkaException, KeyError) as error:
            raise UnreachableError(f"topic {self._topic}: {error}") from None
        if topic.error is not None:
            raise UnreachableError(f"topic {self._topic}: {error_text(topic.error)} (earshot migrate creates it)")
        return len(topic.partitions)

    # --- on the thread ------------------------------------------------------------------------------------------------
    def _follow(self) -> None:
        try:
            while not self._stop.is_set():
                self._vitals.busy("ownership")
                self._polled()
                message = self._consumer.poll(POLL_S)
                if message is not None and self._took(message):
                    self._notify(wait=False)
        except Exception as error:
            self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            self._consumer.close()
            self._vitals.idle("ownership")

    def _took(self, message: Message) -> bool:
        """Whether the message changes anything for the partitions that are owned."""
        partition, error = message.partition(), message.error()
        assert partition is not None
        if error is None:
            entry = read(message.key(), message.value())
            if isinstance(entry, Pause):
                self.newest.pause(entry, partition)
            elif entry is None or not self.newest.add(entry):
                return False
            return partition in self.owned
        if error.code() == KafkaError._PARTITION_EOF and partition in self._reading:
            self._reading.discard(partition)
            self.owned |= {partition}
            if not self._reading:
                self._vitals.clear("partitions")
            return True
        if error.code() != KafkaError._PARTITION_EOF:
            log.warning("topic %s: %s", self._topic, error_text(error))
        return False

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            each.offset = OFFSET_BEGINNING
            self._reading.add(each.partition)
        consumer.incremental_assign(partitions)
        if not self._reading:
            self._vitals.clear("partitions")

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone(partitions)
        self._notify(wait=True)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone(partitions)
        self._give_up()
        self._notify(wait=False)
        consumer.incremental_unassign(partitions)

    def _gone(self, partitions: list[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        self.owned -= gone
        self._reading -= gone

    def _notify(self, *, wait: bool) -> None:
        if self._calls and not wait:
            return
        self._calls = True
        try:
            done = asyncio.run_coroutine_threadsafe(self._call(), self._loop)
            if wait:
                done.result(HAND_OVER_S)
        except (RuntimeError, TimeoutError):
            self._give_up()
            log.warning("the sources of a revoked partition did not stop in time")

    async def _call(self) -> None:
        self._calls = False
        try:
            await self._changed()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)
