"""Batches of records that Kafka's client can't unpack: passed as a whole, and nothing else is.

zstd makes 10 kB of 300 MB; librdkafka unpacks 256 MiB, and asks for the same batch for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message

from pipeline.batch import Unreadable
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError
from pipeline.fence import Fence
from pipeline.kafka.batches import last_offset
from pipeline.kafka.consumer import consumer_config
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.worker.offsets import Offsets
from pipeline.worker.read_errors import LastOffset
from tests.integration.test_bad_input import count, produce, rows
from tests.support.bad_records import GOOD, event
from tests.support.letters import read_letters
from tests.support.topics import lag
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.usefixtures("kafka")
ONE_BATCH = {"batch.size": 400_000_000, "linger.ms": 5_000}


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        yield client


class Reader:
    """The consumer of a worker, whose poll thread is the test."""

    def __init__(self, settings: Settings, last_offset: LastOffset) -> None:
        self.vitals = Vitals()
        self.offsets = Offsets(Fence(), self.vitals, lambda a: lambda p: None, lambda p: None, lambda s: True, lambda s: True)
        kafka = settings.kafka
        self._consumer = Consumer({**consumer_config(kafka), "log_level": 0})
        self.offsets.open(self._consumer, kafka.topic("events"), last_offset)

    def heard(self, errors: int) -> list[Message]:
        """What Kafka's client gave until it said so many times that it can't unpack something."""
        found: list[Message] = []

        def enough() -> bool:
            self.offsets.resume_seeded()
            found.extend(self._consumer.consume(100, 0.1))
            return sum(message.error() is not None for message in found) >= errors

        wait_for("errors", enough)
        return found

    def next(self) -> list[Message]:
        """The next good records."""
        found: list[Message] = []

        def there() -> bool:
            found.extend(self.offsets.ours(self._consumer.consume(100, 0.1))[0])
            return bool(found)

        wait_for("good records", there)
        return found


@pytest.mark.logs_errors
def test_the_same_error_heard_twice_costs_no_good_record(settings: Settings, client: Client) -> None:
    """As when the poll thread waits for room: meanwhile librdkafka asks again, and queues the same error once more."""
    topic = settings.kafka.topic("events")
    produce(settings, [(None, GOOD)])
    produce(settings, [(None, b"x" * 270_000_000)], **ONE_BATCH)
    for place in range(3):
        produce(settings, [(None, event(id=str(place)))])
    reader = Reader(settings, partial(last_offset, settings.kafka.client()))
    good, (unreadable,) = reader.offsets.ours(reader.heard(errors=2))
    assert [message.offset() for message in good] == [0]
    assert unreadable[:4] == (topic, 0, 1, 1)
    assert reader.next()[0].offset() == 2
    reader.offsets.close()


@pytest.mark.logs_errors
def test_a_batch_of_which_nobody_knows_the_end_holds_its_partition(settings: Settings, client: Client) -> None:
    topic = settings.kafka.topic("events")
    produce(settings, [(None, b"x" * 270_000_000)], **ONE_BATCH)
    produce(settings, [(None, GOOD)])
    known = False

    def asked(topic: str, partition: int, offset: int) -> int:
        if known:
            return last_offset(settings.kafka.client(), topic, partition, offset)
        raise EarshotError("its batch is damaged")

    reader = Reader(settings, asked)
    assert reader.offsets.ours(reader.heard(errors=1)) == ([], [])
    (held,) = reader.vitals.unready()
    assert held.startswith(f"{topic}[0]: offset 0 can't be read (")
    assert held.endswith("nor where to read on: its batch is damaged")
    known = True
    good, unreadable = reader.offsets.ours(reader.heard(errors=1))
    assert (good, [passed[:4] for passed in unreadable]) == ([], [(topic, 0, 0, 0)])
    assert reader.vitals.unready() == []
    assert reader.next()[0].offset() == 1
    reader.offsets.close()


def test_a_batch_of_many_records_is_passed_at_once_as_one_dead_letter(
    settings: Settings, client: Client, tmp_path: Path
) -> None:
    many = 2_000
    produce(settings, [(None, b"x" * 150_000)] * many, **ONE_BATCH, **{"batch.num.messages": 1_000_000})
    produce(settings, [(None, event(id=str(place))) for place in range(60)])
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        wait_for("60 rows", lambda: count(client, "interactions") == 60)
        wait_for("all is committed", lambda: not lag(settings.kafka))
        (letter,) = read_letters(client)
        assert (letter.offset, letter.step, letter.raw) == (0, "kafka", b"")
        assert letter.reason.startswith(f"offsets 0 to {many - 1} can't be read: Decompression")
        assert rows(client, "SELECT min(offset), max(offset) FROM interactions") == [(many, many + 59)]
        worker.wait_ready()
        told = worker.ask("/metrics")[1]
        assert f"earshot_offsets_unreadable_total {many}.0" in told
        assert 'earshot_events_rejected_total{reason="unreadable",step="kafka"} 1.0' in told
    finally:
        worker.close()


def test_a_letter_names_all_offsets_that_it_stands_for() -> None:
    letter = Unreadable("t", 3, 10, 19, "Decompression failed").letter()
    assert (letter.offset, letter.raw, letter.reason) == (10, b"", "offsets 10 to 19 can't be read: Decompression failed")
