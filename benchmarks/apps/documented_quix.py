"""Quix Streams as documented: JSON by its topic, `filter` and `apply`, and a batching sink, with the defaults of Application.

https://quix.io/docs/quix-streams/quickstart.html and connectors/sinks/custom-sinks.html beside it. The sink writes at each
checkpoint, every five seconds.
"""

from __future__ import annotations

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch
from work import Table, Work, job


class ClickHouseSink(BatchingSink):
    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table

    def write(self, batch: SinkBatch) -> None:
        self._table.insert([item.value for item in batch])


asked = job()
work = Work(asked.terms)
app = Application(asked.bootstrap, consumer_group=asked.group, auto_offset_reset="earliest", loglevel="WARNING")
frame = app.dataframe(app.topic(asked.topic, value_deserializer="json"))
frame = frame.filter(work.is_new)
frame = frame.apply(work.row)
frame.sink(ClickHouseSink(Table(asked)))

if __name__ == "__main__":
    app.run()
