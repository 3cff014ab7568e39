"""Publisher: topic customers gets each move of a profile, in the order of its sequence, once the tables have it.

    {"version": 1, "sequence": 1099511627777, "profile": "00c0ffee00c0ffee", "before": "00c0ffee00c0ffee",
     "after": "0badcafe0badcafe", "command": 0, "at": "2026-11-29T07:00:00.000Z"}

Table assignment_changes is the record. Restart, or another leader: what the table has after the last record of the topic is
sent, so a move may come twice, also late by a leader that was replaced: who reads skips a sequence that is not above the last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import orjson
import polars as pl
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.clickhouse.query import Query
from pipeline.config.settings import KafkaSettings
from pipeline.fence import Fence
from pipeline.kafka.client import kafka_reason
from pipeline.kafka.producer import Record, ReliableProducer
from pipeline.monitoring.health import Vitals
from schemas.times import rfc3339

PUBLISHING, AWAY = "publishing moves", "kafka (customers)"
VERSION, HIGHEST = 1, 1 << 63
MOVES = 10_000
"""Moves of a query at most."""
LOOK_EVERY_S, RETRY_S = 0.05, 2.0
_LAST_RECORDS, _ANSWER_S = 10, 10.0
log = logging.getLogger("earshot.kafka")


class Publisher:
    """Sends moves while this process leads. `query` blocks while ClickHouse is away, and so does Kafka's producer."""

    def __init__(self, kafka: KafkaSettings, query: Query, fence: Fence, vitals: Vitals) -> None:
        self._kafka, self._query, self._fence, self._vitals = kafka, query, fence, vitals
        self._topic = kafka.topic("customers")
        self._producer = ReliableProducer(
            {**kafka.client(), "linger.ms": 0}, self._topic, "customers", fence, vitals, PUBLISHING
        )  # fmt: skip
        self._last = 0
        """The sequence of the last move that the topic has."""

    def told(self) -> int:
        """The sequence that the topic has come to, 0 if Kafka does not say. A leader's are higher, also over a database that is
        restored: who reads skips what is not above the last."""
        try:
            return last_sequence(self._kafka, self._topic)
        except KafkaException as error:
            log.warning("topic %s: %s", self._topic, kafka_reason(error))
            return 0

    async def run(self, newest: Callable[[], int], generation: int) -> None:
        """Sends what the topic lacks, and from then on all up to `newest`, whenever that rises. Raises GivenUp."""
        self._last, behind = await asyncio.to_thread(self._last_sent, generation), True
        while True:
            while behind:
                behind = await asyncio.to_thread(self._send, generation)
            self._vitals.idle(PUBLISHING)
            await asyncio.sleep(LOOK_EVERY_S)
            self._fence.check(generation)
            behind = newest() > self._last

    def _send(self, generation: int) -> bool:
        """Sends the next moves. Whether there may be more."""
        rows = self._query(
            "SELECT sequence, profile, before, after, command, changed_at FROM assignment_changes FINAL "
            f"WHERE sequence > {self._last} ORDER BY sequence LIMIT {MOVES}"
        )
        if rows.is_empty():
            return False
        if refused := self._producer.send(records(rows), generation):
            log.error("topic %s takes no record: %s", self._topic, next(iter(refused.values())).why)
        self._last = rows.get_column("sequence")[-1]
        return rows.height == MOVES

    def _last_sent(self, generation: int) -> int:
        """The highest sequence of the last records; 0: there are none. Waits for Kafka."""
        try:
            while True:
                self._fence.check(generation)
                self._vitals.busy(PUBLISHING)
                try:
                    return last_sequence(self._kafka, self._topic)
                except KafkaException as error:
                    self._vitals.hold(AWAY, kafka_reason(error))
                time.sleep(RETRY_S)
        finally:
            self._vitals.clear(AWAY)


def records(moves: pl.DataFrame) -> list[Record]:
    """The records of moves: columns as in table assignment_changes."""
    found = []
    for row in moves.iter_rows(named=True):
        keys = {name: f"{row[name]:016x}" for name in ("profile", "before", "after")}
        value = {"version": VERSION, "sequence": row["sequence"], **keys, "command": row["command"]}
        found.append(Record(orjson.dumps({**value, "at": rfc3339(row["changed_at"])}), keys["profile"].encode()))
    return found


def last_sequence(kafka: KafkaSettings, topic: str) -> int:
    """The highest sequence in the last records of the topic; 0: there is none. Raises KafkaException."""
    own = {"group.id": f"{kafka.group}-customers", "enable.auto.commit": False, "log_level": 0}
    to_its_end = {"enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
    consumer = Consumer({**kafka.client(), **own, **to_its_end})
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_ANSWER_S)
        consumer.assign([TopicPartition(topic, 0, max(first, end - _LAST_RECORDS))])
        found = 0
        while (message := consumer.poll(_ANSWER_S)) is not None:
            if (error := message.error()) is None:
                found = max(found, _sequence(message.value() or b""))
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            else:
                raise KafkaException(error)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # 0 would send all moves of all time again
    finally:
        consumer.close()


def _sequence(value: bytes) -> int:
    try:
        sequence = int(orjson.loads(value)["sequence"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return 0  # somebody else's record
    return sequence if 0 < sequence < HIGHEST else 0
