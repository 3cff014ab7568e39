"""Quix Streams, tuned: a sink that collects the bytes of messages, and does the work on all of them at the checkpoint."""

from __future__ import annotations

from typing import Any

from columns import BATCH_ROWS, ArrowTable, Columns
from quixstreams import Application
from quixstreams.sinks.base import BaseSink
from work import Clock, Job, job


class Landing(BaseSink):
    """All partitions in one insert; BatchingSink would make an insert for each."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._columns = Columns(job.terms)
        self._table = ArrowTable(job)
        self._clock = Clock()
        self._values: list[bytes] = []

    def add(self, value: bytes, *_: Any, **__: Any) -> None:
        if not self._values:
            self._clock.begin()
        self._values.append(value)

    def flush(self) -> None:
        if self._values and (rows := self._columns.rows(self._values)):
            self._table.insert([rows])
        self._values = []


asked = job(tuned=True)
app = Application(
    asked.bootstrap,
    consumer_group=asked.group,
    auto_offset_reset="earliest",
    commit_every=BATCH_ROWS,
    commit_interval=0.5,
    consumer_poll_timeout=0.1,
    consumer_extra_config={"queued.max.messages.kbytes": 65536, "fetch.queue.backoff.ms": 10},
    loglevel="WARNING",
)
topic = app.topic(asked.topic, key_deserializer="bytes", value_deserializer="bytes")
app.dataframe(topic).sink(Landing(asked))

if __name__ == "__main__":
    app.run()
