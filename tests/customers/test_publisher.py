"""Topic customers: each move once in its order, and what a leader could not send is sent by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest
from confluent_kafka import Producer

from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.customers.publisher import AWAY, PUBLISHING, Publisher, last_sequence
from pipeline.customers.state import State
from pipeline.fence import GivenUp
from pipeline.kafka.client import kafka_admin
from pipeline.kafka.topics import migrate_topics
from pipeline.leader import Leader
from pipeline.sinks.customers import CustomerTables
from schemas.untyped import JsonObject
from tests.support.customers import House, emails, no_hashes
from tests.support.topics import read_topic


def sent(settings: Settings) -> list[JsonObject]:
    return [orjson.loads(record.value() or b"") for record in read_topic(settings.kafka, settings.kafka.topic("customers"))]


async def until(what: Callable[[], bool]) -> None:
    """Waits until it is true."""
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.05)


async def test_moves_are_sent_once_in_their_order(emptied: Settings) -> None:
    migrate_topics(emptied.kafka)
    house, topic = House(emptied), emptied.kafka.topic("customers")
    state = house.lead()
    state.take(emails((1, 9), (2, 9)), False)

    def publish(leader: Leader) -> asyncio.Task[None]:
        query = Inserter(house.client, leader.lease, leader._vitals, PUBLISHING).query
        publisher = Publisher(emptied.kafka, query, leader.lease, leader._vitals)
        return asyncio.create_task(publisher.run(lambda: state.last_move, leader.lease.generation))

    first = house.leader()
    task = publish(first)
    await until(lambda: len(sent(emptied)) == 1)
    state = house.lead()
    state.take(emails((3, 9)), False)
    await until(lambda: len(sent(emptied)) == 2)
    first.lease.assigned(False)
    with pytest.raises(GivenUp):
        await task

    state.take(emails((4, 9)), False)  # nobody publishes
    assert last_sequence(emptied.kafka, topic) == house.rows("SELECT sequence FROM assignment_changes ORDER BY 1")[1][0]
    task = publish(house.leader())
    await until(lambda: len(sent(emptied)) == 3)
    task.cancel()
    found = sent(emptied)
    assert [each["profile"] for each in found] == [f"{profile:016x}" for profile in (2, 3, 4)]
    assert [(each["sequence"],) for each in found] == house.rows("SELECT sequence FROM assignment_changes ORDER BY sequence")
    assert found[0] | {"at": "", "sequence": 0} == {
        "version": 1, "sequence": 0, "profile": "0000000000000002", "before": "0000000000000002", "after": "0000000000000001",
        "command": 0, "at": "",
    }  # fmt: skip


def publisher_of(settings: Settings, house: House) -> tuple[Publisher, Leader]:
    leader = house.leader()
    query = Inserter(house.client, leader.lease, leader._vitals, PUBLISHING).query
    return Publisher(settings.kafka, query, leader.lease, leader._vitals), leader


async def test_over_a_restored_database_moves_go_on_above_what_the_topic_has(emptied: Settings) -> None:
    """Else nobody sent them, and nobody took them, until as many terms have passed as before."""
    migrate_topics(emptied.kafka)
    house, topic, far = House(emptied), emptied.kafka.topic("customers"), 9 << 40
    producer = Producer({**emptied.kafka.client(), "log_level": 0})
    for value in (orjson.dumps({"sequence": far}), b"no move", orjson.dumps({"sequence": 1 << 63})):
        producer.produce(topic, value)
    assert producer.flush(30) == 0
    publisher, leader = publisher_of(emptied, house)
    state = State(CustomerTables(leader.inserter), no_hashes)
    state.start(house.term, leader.lease.generation, publisher.told())
    state.take(emails((1, 9), (2, 9)), False)
    task = asyncio.create_task(publisher.run(lambda: state.last_move, leader.lease.generation))
    await until(lambda: last_sequence(emptied.kafka, topic) > far)
    task.cancel()
    before = state.last_move
    state = house.lead()  # the next term is still far below
    state.take(emails((3, 9)), False)
    assert state.last_move > before


async def test_a_topic_that_is_gone_is_said_until_it_is_there(emptied: Settings) -> None:
    migrate_topics(emptied.kafka)
    house, topic = House(emptied), emptied.kafka.topic("customers")
    admin = kafka_admin(emptied.kafka)
    admin.delete_topics([topic], operation_timeout=10)[topic].result(20)
    publisher, leader = publisher_of(emptied, house)
    assert publisher.told() == 0
    task = asyncio.create_task(publisher.run(lambda: 0, leader.lease.generation))

    def said() -> bool:
        return any(AWAY in reason for reason in leader._vitals.unready())

    await until(said)
    for _ in range(100):  # all the time, not for an instant in each try
        await asyncio.sleep(0)
        assert said()
    migrate_topics(emptied.kafka)
    await until(lambda: not said())
    task.cancel()
