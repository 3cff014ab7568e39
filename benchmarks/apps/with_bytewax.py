"""Bytewax, tuned: large batches of its Kafka source, the work in columns by one step, a sink that makes large inserts beside.

A source of one's own that passes lists of values on, with one consumer instead of one a partition, took as much CPU time.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from columns import BATCH_ROWS, INSERT_ROWS, ArrowTable, Columns
from work import Clock, Job, job

CONSUMER = {"queued.max.messages.kbytes": "8192", "fetch.queue.backoff.ms": "10", "statistics.interval.ms": "0"}


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
columns, clock = Columns(asked.terms), Clock()


def rows(messages: list[Any]) -> list[pa.Table]:
    clock.begin()
    found = columns.rows([message.value for message in messages])
    return [] if found is None else [found]


flow = Dataflow("earshot_peer")
# It ends with the topic, so that what is left in the sink is inserted without a timer.
source = KafkaSource([asked.bootstrap], [asked.topic], tail=False, add_config=CONSUMER, batch_size=BATCH_ROWS)
op.output("landing", op.flat_map_batch("work", op.input("events", flow, source), rows), Landing(asked))

if __name__ == "__main__":
    cli_main(flow)
