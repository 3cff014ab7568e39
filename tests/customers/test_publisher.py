"""Topic customers: each move once in its order, and what a leader could not send is sent by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.customers.publisher import PUBLISHING, Publisher, last_sequence
from pipeline.fence import GivenUp
from pipeline.kafka.topics import migrate_topics
from pipeline.leader import Leader
from schemas.untyped import JsonObject
from tests.support.customers import House, emails
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
