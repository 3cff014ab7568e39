"""A process of control's group: it prints each assignment and the offset of each record, and acknowledges nothing.

    python -m tests.support.member BOOTSTRAP PREFIX

It goes on some seconds after it found its place in a partition, and takes as long for a record: one that comes too early waits
in Faust's queue when it goes on.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import faust

from pipeline.config.settings import KafkaSettings
from pipeline.kafka.group import make_app
from pipeline.kafka.lease import Lease

RESUMES_AFTER_S = 2.0


async def read(stream: Any) -> None:
    async for event in stream.noack().events():
        print("read", event.message.offset, flush=True)
        await asyncio.sleep(RESUMES_AFTER_S)


async def assigned(_: faust.App, /, *partitions: set[Any], **__: Any) -> None:
    print("assigned", sum(map(len, partitions)), flush=True)


async def run(kafka: KafkaSettings) -> None:
    app = make_app(kafka, "control", Lease())
    app.agent(app.topic(kafka.topic("signals"), value_type=bytes, value_serializer="raw", key_serializer="raw"))(read)
    app.on_partitions_assigned.connect(assigned)
    await app.start()
    consumer: Any = app.consumer
    seek = consumer.perform_seek

    async def perform_seek() -> None:
        await seek()
        await asyncio.sleep(RESUMES_AFTER_S)

    consumer.perform_seek = perform_seek
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(KafkaSettings(bootstrap=sys.argv[1], topic_prefix=sys.argv[2], group=sys.argv[2])))
