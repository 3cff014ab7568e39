"""An offset that Kafka lost before it was read: its partition is held, never jumped over, until somebody accepts the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.kafka.outside import outside
from pipeline.migrate import migrate
from tests.support.bad_records import event
from tests.support.commands import Run, set_variables
from tests.support.topics import lag
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.usefixtures("kafka")
HELD, OTHER = 3, 2
Start = Callable[[], Worker]
Earshot = Callable[..., tuple[int, str]]


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    migrate(settings)
    workers: list[Worker] = []

    def one_more() -> Worker:
        workers.append(Worker(settings, tmp_path / f"worker{len(workers)}.log"))
        return workers[-1]

    yield one_more
    for worker in workers:
        worker.close()


def produce(settings: Settings, partition: int, first: int, end: int) -> None:
    """Events into a partition, each with its offset as its id."""
    producer = Producer(settings.kafka.client())
    for offset in range(first, end):
        producer.produce(settings.kafka.topic("events"), event(id=f"{partition}-{offset}"), partition=partition)
    assert producer.flush(30) == 0


def delete_records(settings: Settings, partition: int, before: int) -> None:
    place = TopicPartition(settings.kafka.topic("events"), partition, before)
    admin = AdminClient({**settings.kafka.client(), "log_level": 0})
    assert admin.delete_records([place])[place].result(10).low_watermark == before


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with clickhouse_client(settings.clickhouse) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def landed(settings: Settings, partition: int) -> list[int]:
    """Raw rows, not FINAL: what landed twice would show."""
    return [row[0] for row in query(settings, f"SELECT offset FROM interactions WHERE partition = {partition} ORDER BY offset")]


def losses(settings: Settings) -> list[tuple[Any, ...]]:
    return query(settings, "SELECT topic, partition, first, last FROM lost_offsets FINAL")


@pytest.fixture
def earshot(settings: Settings, run: Run, monkeypatch: pytest.MonkeyPatch) -> Earshot:
    """`earshot ARGUMENTS` with the settings and, on its standard input, `answer`: exit code, and what it printed."""
    set_variables(monkeypatch, settings)

    def ask(*arguments: str, answer: str = "") -> tuple[int, str]:
        done = run(*arguments, stdin=answer)
        return done.code, done.out + done.err

    return ask


def read_and_stop(settings: Settings, start: Start) -> None:
    worker = start()
    worker.wait_ready()
    wait_for("all is committed", lambda: not lag(settings.kafka))
    assert worker.stop() == 0


def wait_held(settings: Settings, worker: Worker) -> None:
    name = f"{settings.kafka.topic('events')}[{HELD}]: the next offset to read is not in Kafka any more"
    wait_for("/ready names the partition", lambda: name in worker.ask("/ready")[1])
    assert worker.status("/ready") == 503
    assert worker.status("/live") == 200
    # The gauge counts it as seeding until that is done.
    wanted = {'earshot_partitions{state="held"} 1.0', 'earshot_unready{cause="held"} 1.0'}
    wait_for("the metrics say so", lambda: wanted <= set(worker.ask("/metrics")[1].splitlines()))


def test_a_lost_range_holds_its_partition_until_it_is_accepted(settings: Settings, start: Start, earshot: Earshot) -> None:
    for partition in (HELD, OTHER):
        produce(settings, partition, 0, 10)
    read_and_stop(settings, start)
    produce(settings, HELD, 10, 16)
    delete_records(settings, HELD, 13)
    gone = f"{settings.kafka.topic('events')} partition {HELD}: offsets 10 to 12 are not in Kafka any more"
    for command in (["offsets", "list"], ["status"]):
        code, said = earshot(*command)
        assert (code, gone in said) == (1, True), said

    worker = start()
    wait_held(settings, worker)
    produce(settings, OTHER, 10, 15)
    wait_for("the other partitions go on", lambda: landed(settings, OTHER) == list(range(15)))
    wait_for("only one is behind", lambda: lag(settings.kafka).keys() == {HELD})
    assert landed(settings, HELD) == list(range(10))
    wait_held(settings, worker)

    code, said = earshot("offsets", "accept-loss", "--yes")
    assert (code, f"stop the workers of group {settings.kafka.group} first" in said, losses(settings)) == (1, True, []), said
    assert worker.stop() == 0
    code, said = earshot("offsets", "accept-loss", answer="n\n")
    assert (code, gone in said, losses(settings)) == (1, True, []), said
    code, said = earshot("offsets", "accept-loss", answer="y\n")
    assert (code, gone in said) == (0, True), said
    assert losses(settings) == [(settings.kafka.topic("events"), HELD, 10, 12)]
    code, said = earshot("offsets", "accept-loss")
    assert (code, "nothing is lost" in said) == (0, True), said

    read_and_stop(settings, start)
    assert landed(settings, HELD) == [*range(10), 13, 14, 15]
    assert earshot("offsets", "list")[0] == 0


def test_a_partition_that_ends_before_the_committed_offset_is_held(settings: Settings, start: Start, earshot: Earshot) -> None:
    """As after a restore from an older copy. What is there is read from its beginning: what has landed is known."""
    produce(settings, HELD, 0, 5)
    read_and_stop(settings, start)
    with outside(settings.kafka) as consumer:
        consumer.commit(offsets=[TopicPartition(settings.kafka.topic("events"), HELD, 50)], asynchronous=False)
    worker = start()
    wait_held(settings, worker)
    produce(settings, HELD, 5, 8)
    produce(settings, OTHER, 0, 2)
    wait_for("the other partitions go on", lambda: landed(settings, OTHER) == [0, 1])
    assert landed(settings, HELD) == list(range(5))
    assert worker.stop() == 0

    code, said = earshot("offsets", "accept-loss", "--yes")
    assert (code, "ends before the committed offset 50" in said) == (0, True), said
    assert losses(settings) == [(settings.kafka.topic("events"), HELD, 50, None)]
    read_and_stop(settings, start)
    assert landed(settings, HELD) == list(range(8))


def test_without_a_commit_reading_begins_at_the_first_offset_there_is(settings: Settings, start: Start) -> None:
    produce(settings, HELD, 0, 5)
    delete_records(settings, HELD, 3)
    read_and_stop(settings, start)
    assert landed(settings, HELD) == [3, 4]
    assert losses(settings) == []
