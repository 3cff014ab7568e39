"""Stock Faust as documented: a record model, an agent, and `take` to write many events at once.

https://faust-streaming.github.io/faust/userguide/models.html, agents.html, and streams.html ("take"); ClickHouse's own client
inserts, in its form for asyncio.
"""

from __future__ import annotations

from typing import Any

import clickhouse_connect
import faust
from work import COLUMNS, DOCUMENTED_ROWS, Work, job


class Post(faust.Record, serializer="json"):
    id: str
    platform: str
    kind: str
    operation: str
    direction: str
    created_at: str
    text: str
    language: str
    author: dict[str, Any]
    metrics: dict[str, int]
    source: dict[str, str]


asked = job()
work = Work(asked.terms)
app = faust.App(
    asked.group,
    broker=f"kafka://{asked.bootstrap}",
    consumer_auto_offset_reset="earliest",
    # Two of them run on one machine, and the topic is not Faust's.
    web_enabled=False,
    topic_disable_leader=True,
)
topic = app.topic(asked.topic, key_type=bytes, value_type=Post)


@app.agent(topic)
async def land(posts: Any) -> None:
    client = await clickhouse_connect.get_async_client(**asked.clickhouse())
    async for taken in posts.take(DOCUMENTED_ROWS, within=1):
        events = [post.asdict() for post in taken]
        rows = [work.row(event) for event in events if work.is_new(event)]
        if rows:
            await client.insert("interactions", rows, column_names=COLUMNS)


if __name__ == "__main__":
    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()
