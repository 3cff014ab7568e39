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


async def test_what_was_read_before_the_process_stood_still_is_not_sent() -> None:
    """Its group may have given its sources to another listener, whose changes would be overwritten."""
    now = 0.0
    sender = Sender(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"), Vitals(), lambda: now)
    try:
        for which_thread_sees_it_first in "the sender's", "the group's":
            sender.polled()
            read_in, now = sender.generation, now + 60.0
            if which_thread_sees_it_first == "the group's":
                sender.polled()
            with pytest.raises(GivenUp):
                await sender.send(sender.events, [Record(b"{}", b"rss:1")], read_in)
        sender.polled()
        after = asyncio.ensure_future(sender.send(sender.events, [Record(b"{}", b"rss:1")], sender.generation))
        done, _ = await asyncio.wait((after,), timeout=1.0)
        assert not done, "what is read afterwards waits for Kafka"
    finally:
        await sender.close()
    with pytest.raises(GivenUp):
        await after
