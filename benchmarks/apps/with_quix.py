"""Quix Streams: a sink that collects messages, and does the work on all of them at the checkpoint."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.sinks.base import BaseSink
from work import INSERT_ROWS, Table, Work, job


class Landing(BaseSink):
    """All partitions in one insert; BatchingSink would make an insert for each."""

    def __init__(self, work: Work, table: Table) -> None:
        super().__init__()
        self._work = work
        self._table = table
        self._values: list[bytes] = []

    def add(self, value: bytes, *_: Any, **__: Any) -> None:
        self._work.begin()
        self._values.append(value)

    def flush(self) -> None:
        self._table.insert(self._work.rows(self._values))
        self._values = []


asked = job()
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
app.dataframe(topic).sink(Landing(Work(asked.terms), Table(asked)))

if __name__ == "__main__":
    app.run()
