"""Sends events and cursors to Kafka, from the event loop: one thread, whose producers repeat until Kafka has each record."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from pipeline.clock import Clock, steady
from pipeline.config.settings import MAX_MESSAGE_BYTES, KafkaSettings
from pipeline.fence import Fence, GivenUp
from pipeline.kafka.event_producer import key_of
from pipeline.kafka.producer import Record, Refusal, ReliableProducer
from pipeline.monitoring.health import Vitals
from schemas.untyped import JsonObject

TOGETHER = 20_000
"""Records of one round, about."""
STOOD_STILL_S = 4.5
"""A process that was stopped for so long may have lost its sources, and not know it yet: a session of the group, from the last
sign of life on."""
Refused = dict[int, Refusal]


class _Request(NamedTuple):
    topic: str
    records: Sequence[Record]
    done: asyncio.Future[Refused]
    generation: int


class Sender:
    """Of one event loop. While Kafka is away, all `send` wait, and /ready says why. A source waits for its answer before it
    sends more, so as many requests wait as there are sources, about.

    Restart: requests that were not answered are sent again by their source, from its cursor.
    """

    def __init__(self, kafka: KafkaSettings, vitals: Vitals, clock: Clock = steady) -> None:
        self.events, self.cursors = kafka.topic("events"), kafka.topic("cursors")
        self._fence, self._vitals, self._clock = Fence(), vitals, clock
        self._polled = math.inf
        limits = {"compression.type": "lz4", "message.max.bytes": MAX_MESSAGE_BYTES, "linger.ms": 5}
        self._producers = {
            topic: ReliableProducer({**kafka.client(), **limits}, topic, what, self._fence, vitals, "sending")
            for topic, what in ((self.events, "events"), (self.cursors, "cursors"))
        }
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        """Gets the error that ended the thread."""
        self._requests: queue.Queue[_Request | None] = queue.Queue()
        self._thread = threading.Thread(target=self._main, name="sending")
        self._thread.start()

    @property
    def generation(self) -> int:
        """Another one: what was read before must not be sent any more."""
        return self._fence.generation

    async def send(self, topic: str, records: Sequence[Record], read_in: int | None = None) -> Refused:
        """Returns when the topic has all records except those at the returned indices, which it never takes. Who is cancelled
        meanwhile leaves the request behind, which is sent in its turn. `read_in`: the generation in which what they say was
        asked for; None: this one. Raises GivenUp: some of them may be there."""
        if not records:
            return {}
        done: asyncio.Future[Refused] = self._loop.create_future()
        self._requests.put(_Request(topic, records, done, self.generation if read_in is None else read_in))
        return await done

    def polled(self) -> None:
        """A sign that this listener runs and asks its group which sources are its own. From the thread that does."""
        self._look()
        self._polled = self._clock()

    def give_up(self) -> None:
        """What Kafka has not acknowledged yet, and what was read until now, is not sent any more: another listener may run its
        source by now, and it would come after what that one sends. From any thread."""
        self._fence.end_generation()

    async def close(self) -> None:
        """Ends the thread; what it has not sent is given up."""
        self._fence.stop()
        self._requests.put(None)
        await asyncio.to_thread(self._thread.join)

    def _look(self) -> None:
        if self._clock() - self._polled > STOOD_STILL_S:
            self.give_up()

    # --- on the thread ------------------------------------------------------------------------------------------------
    def _main(self) -> None:
        try:
            self._run()
        except Exception as error:
            self._loop.call_soon_threadsafe(self.failed.set_exception, error)

    def _run(self) -> None:
        left: list[_Request] = []
        while True:
            self._vitals.idle("sending")
            first = left.pop(0) if left else self._requests.get()
            if first is None:
                return
            requests = [first]
            while len(requests) < TOGETHER and not left:
                try:
                    other = self._requests.get_nowait()
                except queue.Empty:
                    break
                if other is None:
                    self._requests.put(None)  # after these
                    break
                (requests if other.topic == first.topic else left).append(other)
            self._vitals.busy("sending")
            self._send(requests)

    def _send(self, requests: Sequence[_Request]) -> None:
        self._look()
        generation = self._fence.generation
        for request in requests:
            if request.generation != generation:
                self._loop.call_soon_threadsafe(_give_up, request.done)
        standing = [request for request in requests if request.generation == generation]
        records = [record for request in standing for record in request.records]
        try:
            refused = self._producers[requests[0].topic].send(records, generation)
        except GivenUp:
            for request in standing:
                self._loop.call_soon_threadsafe(_give_up, request.done)
            return
        start = 0
        for request in standing:
            end = start + len(request.records)
            mine = {index - start: why for index, why in refused.items() if start <= index < end}
            self._loop.call_soon_threadsafe(_answer, request.done, mine)
            start = end


def event_record(event: JsonObject) -> Record:
    """The event as topic events has it."""
    return Record(orjson.dumps(event), key_of(event))


def _answer(done: asyncio.Future[Refused], refused: Refused) -> None:
    if not done.done():
        done.set_result(refused)


def _give_up(done: asyncio.Future[Refused]) -> None:
    if not done.done():
        done.set_exception(GivenUp())
