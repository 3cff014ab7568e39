"""Stock Faust: an agent that takes batches from its stream, as its user guide has it (`Stream.take`)."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from mode.loop import use
from work import INSERT_ROWS, Table, Work, job

use("uvloop")
asked = job()
work, table = Work(asked.terms), Table(asked)
app = faust.App(
    asked.group,
    broker=f"kafka://{asked.bootstrap}",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    stream_buffer_maxsize=INSERT_ROWS,
    stream_wait_empty=False,
)
# The bytes as they came: orjson decodes them in the batch.
topic = app.topic(asked.topic, key_serializer="raw", value_serializer="raw")


def arrived(value: bytes) -> bytes:
    work.begin()
    return value


@app.agent(topic)
async def land(stream: Any) -> None:
    stream.add_processor(arrived)
    async for values in stream.take(INSERT_ROWS, within=1.0):
        await asyncio.to_thread(table.insert, work.rows(values))


if __name__ == "__main__":
    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()
