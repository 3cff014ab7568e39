"""Dead letters: rejected records, to topic `dead-letter` and to table dead_letters, acknowledged by both.

A dead letter carries the key and the bytes as they came; headers (topic) or columns (table) say reason, step, topic, partition
and offset. A replay writes the same again: the table keeps one, by position and content.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import xxhash
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline.batch import Rejected
from pipeline.fence import Fence
from pipeline.health import Vitals
from pipeline.sinks.clickhouse import Inserter

log = logging.getLogger("earshot.kafka")


class DeadLetters:
    """Blocks until topic and table have them; raises GivenUp when the batch was given up."""

    def __init__(self, client: Mapping[str, Any], topic: str, inserter: Inserter, fence: Fence, vitals: Vitals) -> None:
        config = {"enable.idempotence": True, "acks": "all", "message.max.bytes": 13_000_000, "compression.type": "lz4"}
        self._producer = Producer({**client, **config, "log_level": 0, "error_cb": lambda error: None})
        self._topic = topic
        self._why = ""
        self._inserter = inserter
        self._fence = fence
        self._vitals = vitals

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        if not rejected:
            return
        left, tries = list(rejected), 0
        while left := self._produce(left, generation):
            tries += 1
            if tries in (1, 5) or tries % 30 == 0:
                log.warning("topic %s takes no dead letters: %s; try %d, will be repeated", self._topic, self._why, tries)
            self._vitals.hold("dead letters", self._why)
            self._vitals.busy("landing")
            time.sleep(min(2.0, 0.1 * 2**tries))
            self._fence.check(generation)
        self._vitals.clear("dead letters")
        self._inserter.insert_all("dead_letters", letter_rows(rejected), generation)

    def _produce(self, letters: Sequence[Rejected], generation: int) -> list[Rejected]:
        """Produces the letters; returns those that were not acknowledged."""
        failed: list[Rejected] = []
        for letter in letters:

            def delivered(error: KafkaError | None, _: Message | None, letter: Rejected = letter) -> None:
                if error is not None:
                    self._why = error.str()
                    failed.append(letter)

            headers = {
                "reason": letter.reason, "step": letter.step, "topic": letter.topic,
                "partition": str(letter.partition), "offset": str(letter.offset),
            }  # fmt: skip
            while True:
                try:
                    self._producer.produce(
                        self._topic, letter.raw, letter.key, headers=list(headers.items()), on_delivery=delivered
                    )
                    break
                except BufferError:
                    self._wait(generation)
                except KafkaException as error:
                    delivered(error.args[0], None)
                    break
        while len(self._producer):
            self._wait(generation)
        return failed

    def _wait(self, generation: int) -> None:
        self._vitals.busy("landing")
        self._fence.check(generation)
        self._producer.flush(0.2)


def letter_rows(rejected: Sequence[Rejected]) -> pl.DataFrame:
    """The letters as table dead_letters has them."""
    columns = {name: [getattr(letter, name) for letter in rejected] for name in Rejected._fields}
    types = {"key": pl.Binary, "raw": pl.Binary, "partition": pl.Int32, "offset": pl.Int64}
    frame = pl.DataFrame(columns, schema_overrides=types)
    content = pl.Series("content", [xxhash.xxh3_64_intdigest(letter.raw) for letter in rejected], dtype=pl.UInt64)
    return frame.with_columns(content, rejected_at=pl.lit(datetime.fromtimestamp(time.time(), UTC)))
