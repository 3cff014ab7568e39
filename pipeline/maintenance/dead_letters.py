"""The dead letters: counted, shown, and sent again.

They are read from table `dead_letters`, which outlives the topic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line, settings_for
from pipeline.config.settings import KafkaSettings
from pipeline.kafka.event_producer import EventProducer
from pipeline.monitoring.reject_reasons import UNREADABLE_STEP

_BYTES: dict[str, str | dict[str, str]] = {"key": "bytes", "raw": "bytes", "raw_begins": "bytes"}
_COLUMNS = "topic, partition, offset, step, reason, rejected_at, key, {raw}, length(raw)"
_HAS_BYTES = f"step != '{UNREADABLE_STEP}'"
"""An empty record has none either, but it came so, and goes so."""
SHOWN_BYTES = 2_000
_BEGINS = f"substring(raw, 1, {SHOWN_BYTES}) AS raw_begins"


class DeadLetter(NamedTuple):
    topic: str
    partition: int
    offset: int
    step: str
    reason: str
    rejected_at: datetime
    key: bytes | None
    raw: bytes
    """As it came, or its beginning."""
    size: int
    """Bytes of it, as it came."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters: those that meet all that is set. `reason` is any part of the reason or the step."""

    reason: str | None = None
    topic: str | None = None
    partition: int | None = None
    first: int | None = None
    last: int | None = None

    def where(self) -> tuple[str, dict[str, object]]:
        conditions = {
            "reason": "positionCaseInsensitiveUTF8(concat(step, ': ', reason), {reason:String}) > 0",
            "topic": "topic = {topic:String}",
            "partition": "partition = {partition:Int32}",
            "first": "offset >= {first:Int64}",
            "last": "offset <= {last:Int64}",
        }
        given = {name: getattr(self, name) for name in conditions if getattr(self, name) is not None}
        return " AND ".join(conditions[name] for name in given) or "1", given


class Replayed(NamedTuple):
    produced: int
    failed: Counter[str]


class Counted(NamedTuple):
    records: int
    """What `replay` would send."""
    without_bytes: int
    """Letters that stand for records that nobody could read: there is nothing to send."""


NOTHING = Replayed(0, Counter())


def newest(client: Client, which: Filter, most: int) -> list[DeadLetter]:
    """The newest `most` letters, newest first, of each SHOWN_BYTES at most. Raises EarshotError with the server's reason."""
    where, values = which.where()
    order = "ORDER BY rejected_at DESC, topic, partition, offset DESC"
    return list(_read(client, _BEGINS, f"WHERE {where} {order} LIMIT {most:d}", values))


def count(client: Client, which: Filter) -> Counted:
    """Raises EarshotError with the server's reason."""
    where, values = which.where()
    counts = f"uniqExactIf(tuple(key, content), {_HAS_BYTES}), countIf(NOT {_HAS_BYTES})"
    sql = f"SELECT {counts} FROM dead_letters FINAL WHERE {where}"
    with one_line(client):
        found: Sequence[Sequence[int]] = client.query(sql, parameters=values, settings=settings_for(client)).result_rows
    return Counted(*found[0])


def replay(client: Client, kafka: KafkaSettings, which: Filter) -> Replayed:
    """Sends the raw bytes with their keys to the events topic again, in their old order, and waits for the acknowledgements.

    Records that are equal are sent once, so that one which is refused again doesn't double with each replay. Left out is what
    nobody could read: it has no bytes. Doing it again is harmless: what has landed is a duplicate. Raises UnreachableError
    without a broker, EarshotError with the server's reason.
    """
    where, values = which.where()
    with EventProducer(kafka) as producer:
        tail = f"WHERE {where} AND {_HAS_BYTES} ORDER BY topic, partition, offset LIMIT 1 BY key, content"
        for letter in _read(client, "raw", tail, values):
            producer.produce(letter.key, letter.raw)
    return Replayed(producer.acknowledged, producer.failed)


def _read(client: Client, raw: str, tail: str, values: dict[str, object]) -> Iterator[DeadLetter]:
    sql = f"SELECT {_COLUMNS.format(raw=raw)} FROM dead_letters FINAL {tail}"
    settings = settings_for(client)
    with one_line(client), client.query_rows_stream(sql, values, settings, column_formats=_BYTES, query_tz="UTC") as stream:
        yield from (DeadLetter(*row) for row in stream)
