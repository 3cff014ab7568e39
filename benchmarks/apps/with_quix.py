"""Quix Streams: one function applied to each message, and a sink that collects rows until the checkpoint."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.sinks.base import BaseSink
from work import INSERT_ROWS, Row, Table, Work, job


class Landing(BaseSink):
    """All partitions in one insert; BatchingSink would make an insert for each."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table
        self._rows: list[Row] = []

    def add(self, value: Row, *_: Any, **__: Any) -> None:
        self._rows.append(value)

    def flush(self) -> None:
        self._table.insert(self._rows)
        self._rows = []


asked = job()
work = Work(asked.terms)
app = Application(
    asked.bootstrap,
    consumer_group=asked.group,
    auto_offset_reset="earliest",
    commit_every=INSERT_ROWS,
    commit_interval=0.5,
    consumer_poll_timeout=0.1,
    consumer_extra_config={"queued.max.messages.kbytes": 65536, "fetch.queue.backoff.ms": 10},
    loglevel="WARNING",
)
topic = app.topic(asked.topic, key_deserializer="bytes", value_deserializer="bytes")
stream = app.dataframe(topic)
stream = stream.apply(work.row)
stream = stream.filter(lambda row: row is not None)
stream.sink(Landing(Table(asked)))

if __name__ == "__main__":
    app.run()
