"""Counts the dead letters, shows them and sends them again.

They come from table `dead_letters`, which keeps them longer than the topic. What is encrypted there is decrypted with
`privacy.data_key`; to count them needs no key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import conditions, one_line, settings_for
from pipeline.config.keys import DataKeys
from pipeline.config.settings import KafkaSettings
from pipeline.errors import EarshotError
from pipeline.kafka.event_producer import EventProducer
from pipeline.monitoring.reject_reasons import UNREADABLE_STEP, told
from pipeline.queries.letters import DeadLetter, matching, select
from pipeline.sinks.letter_encryption import BEGINNING, STORED_BEGINNING

_KEY = "topic, partition, offset, content"
_HAS_BYTES = f"step != '{UNREADABLE_STEP}'"
"""An empty record has none either, but it arrived empty and is sent empty."""
SHOWN_BYTES = BEGINNING
_BEGINS = f"substring(raw, 1, {STORED_BEGINNING}) AS raw_begins"
_RECORD = "if(form = 0, key, NULL), content"
"""Equal for equal records of one form."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects dead letters that meet every field that is not None. `reason` is any part of the step or the reason."""

    reason: str | None = None
    topic: str | None = None
    partition: int | None = None
    first: int | None = None
    last: int | None = None
    until: int | None = None
    """Rejected by then, in milliseconds since 1970: what was counted, and nothing that came since."""

    def __str__(self) -> str:
        """For the record, which everybody reads: of a reason that may quote a row its kind alone."""
        places = [(name, getattr(self, name)) for name in ("topic", "partition", "first", "last")]
        reason = self.reason and told(self.reason)
        return ", ".join(f"{name} {value}" for name, value in [*places, ("reason", reason)] if value is not None) or "all"

    def where(self) -> tuple[str, dict[str, object]]:
        """As SQL: the condition and its parameters."""
        return conditions(
            {
                "reason": ("positionCaseInsensitiveUTF8(concat(step, ': ', reason), {reason:String}) > 0", self.reason),
                "topic": ("topic = {topic:String}", self.topic),
                "partition": ("partition = {partition:Int32}", self.partition),
                "first": ("offset >= {first:Int64}", self.first),
                "last": ("offset <= {last:Int64}", self.last),
                "until": ("rejected_at <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')", self.until),
            }
        )


class Replayed(NamedTuple):
    """How many records a replay sent; why the others failed, and how many each."""

    produced: int
    failed: Counter[str]
    broken_off: str = ""
    """Why the letters could not be read to their end; blank: they were."""

    @property
    def outcome(self) -> str:
        """For the record; blank: all were sent."""
        said = [self.broken_off and f"broken off after {self.produced:,} were sent: {self.broken_off}"]
        said += [f"{times:,} were not sent: {why}" for why, times in self.failed.most_common(1)]
        return "; ".join(filter(None, said))


class Counted(NamedTuple):
    """How many letters a filter selects."""

    records: int
    """Records that `replay` would send."""
    without_bytes: int
    """Letters without bytes to send: Kafka's client could not read their records."""
    letters: int
    """All of them."""
    until: int
    """When the newest was rejected, as in Filter."""

    @property
    def repeats(self) -> int:
        """Letters of records that another of these letters has, too."""
        return self.letters - self.without_bytes - self.records


NOTHING = Replayed(0, Counter())


def newest(client: Client, which: Filter, most: int, keys: DataKeys) -> list[DeadLetter]:
    """The newest `most` letters, newest first, each cut to SHOWN_BYTES. Raises as `matching`."""
    return list(matching(client, *newest_question(which, most), keys))


def newest_question(which: Filter, most: int) -> tuple[str, dict[str, object]]:
    """What `newest` asks, and its parameters."""
    where, values = which.where()
    order = "ORDER BY rejected_at DESC, topic, partition, offset DESC"
    found = f"SELECT {_KEY} FROM dead_letters FINAL WHERE {where} {order} LIMIT {most:d}"  # no bytes are read but theirs
    return select(f"WHERE ({_KEY}) IN ({found}) {order}", _BEGINS), values


def whole(client: Client, topic: str, partition: int, offset: int, keys: DataKeys) -> DeadLetter | None:
    """One letter with all its bytes; None: there is none. Raises as `matching`."""
    where, values = Filter(None, topic, partition, offset, offset).where()
    sql = select(f"WHERE {where} ORDER BY rejected_at DESC LIMIT 1")
    return next(iter(list(matching(client, sql, values, keys))), None)


def count(client: Client, which: Filter) -> Counted:
    """How many letters `which` selects. Raises EarshotError with the server's reason."""
    sql, values = count_question(which)
    with one_line(client):
        rows: Sequence[Sequence[int]] = client.query(sql, parameters=values, settings=settings_for(client)).result_rows
    return Counted(*rows[0])


def count_question(which: Filter) -> tuple[str, dict[str, object]]:
    """What `count` asks, and its parameters."""
    where, values = which.where()
    counts = (
        f"uniqExactIf(tuple({_RECORD}), {_HAS_BYTES}) AS records, countIf(NOT {_HAS_BYTES}) AS without_bytes, "
        "count() AS letters, toUnixTimestamp64Milli(max(rejected_at)) AS until"
    )
    return f"SELECT {counts} FROM dead_letters FINAL WHERE {where}", values


def replay(client: Client, kafka: KafkaSettings, which: Filter, keys: DataKeys) -> Replayed:
    """Sends the raw bytes with their keys to the events topic again, in their old order, and waits for the acknowledgements.

    Equal records are sent once, so that a record which is refused again does not double with each replay. Letters without
    bytes are left out. A second run is harmless: events that landed are duplicates. Raises UnreachableError without a broker,
    as `matching` if nothing was sent.
    """
    where, values = which.where()
    tail = f"WHERE {where} AND {_HAS_BYTES} ORDER BY topic, partition, offset LIMIT 1 BY {_RECORD}"
    broken_off: EarshotError | None = None
    with EventProducer(kafka) as producer:
        try:
            for letter in matching(client, select(tail), values, keys):
                producer.produce(letter.key, letter.raw)
        except EarshotError as error:
            broken_off = error
    if broken_off and not (producer.acknowledged or producer.failed):
        raise broken_off
    return Replayed(producer.acknowledged, producer.failed, str(broken_off or ""))
