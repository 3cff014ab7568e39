"""Stock Faust, tuned: an agent that takes batches of raw values from its stream (`Stream.take`), and the work in columns."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from columns import BATCH_ROWS, ArrowTable, Columns
from mode.loop import use
from work import Clock, job

use("uvloop")
asked = job(tuned=True)
columns, table, clock = Columns(asked.terms), ArrowTable(asked), Clock()
app = faust.App(
    asked.group,
    broker=f"kafka://{asked.bootstrap}",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_check_crcs=False,
    stream_buffer_maxsize=BATCH_ROWS,
    stream_wait_empty=False,
)
# The bytes as they came: pyarrow decodes them in the batch.
topic = app.topic(asked.topic, key_serializer="raw", value_serializer="raw")


def arrived(value: bytes) -> bytes:
    clock.begin()
    return value


def land(values: list[bytes]) -> None:
    if rows := columns.rows(values):
        table.insert([rows])


@app.agent(topic)
async def landing(stream: Any) -> None:
    stream.add_processor(arrived)
    async for values in stream.take(BATCH_ROWS, within=1.0):
        await asyncio.to_thread(land, values)


if __name__ == "__main__":
    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()
