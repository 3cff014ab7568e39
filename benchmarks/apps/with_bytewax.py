"""Bytewax, tuned: a source that reads batches with one consumer, the work in columns, a sink that makes large inserts beside.

The source is one of one's own, as https://bytewax.io/blog/custom-input-connector shows, and resumes as KafkaSource does; that
one makes an object with eight fields of each message, and a consumer for each partition.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from columns import BATCH_ROWS, INSERT_ROWS, ArrowTable, Columns
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from work import Clock, Job, job

CONSUMER = {
    "group.id": "unused: offsets are Bytewax's",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": 65536,
    "fetch.queue.backoff.ms": 10,
}
Offsets = dict[int, int]


class Batches(FixedPartitionedSource[list[bytes], Offsets]):
    """A topic as one part whose items are lists of values. It ends with the topic, so that no timer need flush the sink."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def list_parts(self) -> list[str]:
        return [self._job.topic]

    def build_part(self, step_id: str, for_part: str, resume_state: Offsets | None) -> Reader:
        return Reader(self._job, resume_state or {})


class Reader(StatefulSourcePartition[list[bytes], Offsets]):
    def __init__(self, job: Job, offsets: Offsets) -> None:
        self._consumer = Consumer({"bootstrap.servers": job.bootstrap, **CONSUMER})
        partitions = self._consumer.list_topics(job.topic).topics[job.topic].partitions
        self._reads = [TopicPartition(job.topic, number, offsets.get(number, OFFSET_BEGINNING)) for number in partitions]
        self._consumer.assign(self._reads)
        self._ended = 0
        self._clock = Clock()

    def next_batch(self) -> list[list[bytes]]:
        if self._ended == len(self._reads):
            raise StopIteration
        values: list[bytes] = []
        for message in self._consumer.consume(BATCH_ROWS, 0.05):
            if error := message.error():
                if error.code() != KafkaError._PARTITION_EOF:
                    raise RuntimeError(error)
                self._ended += 1
            elif value := message.value():
                values.append(value)
        if values:
            self._clock.begin()
        return [values] if values else []

    def snapshot(self) -> Offsets:
        return {each.partition: each.offset for each in self._consumer.position(self._reads)}

    def close(self) -> None:
        self._consumer.close()


class Landing(DynamicSink[Any]):
    def __init__(self, job: Job) -> None:
        self._job = job

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Inserts:
        return Inserts(ArrowTable(self._job))


class Inserts(StatelessSinkPartition[Any]):
    def __init__(self, table: ArrowTable) -> None:
        self._table = table
        self._rows: list[pa.Table] = []

    def write_batch(self, items: list[pa.Table]) -> None:
        self._rows += items
        if sum(map(len, self._rows)) >= INSERT_ROWS:
            self._table.insert_beside(self._rows)
            self._rows = []

    def close(self) -> None:
        self._table.insert_beside(self._rows)
        self._table.finish()


asked = job(tuned=True)
flow = Dataflow("earshot_peer")
batches = op.input("events", flow, Batches(asked))
op.output("landing", op.filter_map("work", batches, Columns(asked.terms).rows), Landing(asked))

if __name__ == "__main__":
    cli_main(flow)
