"""The sender of a listener, while Kafka is away."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.config.settings import KafkaSettings
from pipeline.embedded.child import free_port
from pipeline.fence import GivenUp
from pipeline.kafka.producer import Record
from pipeline.listen.sender import Sender
from pipeline.monitoring.health import Vitals

pytestmark = pytest.mark.timeout(120)


async def test_what_kafka_has_not_taken_can_be_given_up() -> None:
    sender = Sender(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"), Vitals())
    try:
        before = [asyncio.ensure_future(sender.send(sender.events, [Record(b"{}", b"rss:1")])) for _ in range(3)]
        left = asyncio.ensure_future(sender.send(sender.cursors, [Record(b"{}", b"blog")]))
        left.cancel()
        await asyncio.sleep(0)
        sender.give_up()
        after = asyncio.ensure_future(sender.send(sender.events, [Record(b"{}", b"rss:2")]))
        done, waiting = await asyncio.wait((*before, after), timeout=1.0)
        while len(done) < 3:
            done, waiting = await asyncio.wait((*before, after), timeout=1.0)
        assert {type(each.exception()) for each in before} == {GivenUp}
        assert waiting == {after}, "what comes afterwards waits for Kafka"
    finally:
        await sender.close()
    with pytest.raises(GivenUp):
        await after
