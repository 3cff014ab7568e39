"""Bytewax as documented: the operators of its Kafka connector, a step for each thing to do, `collect`, and a sink of one's own.

https://docs.bytewax.io/latest/guide/concepts/kafka.html, and its API reference for `collect` and DynamicSink;
https://bytewax.io/blog/building-a-click-house-sink-for-bytewax collects likewise (that sink, bytewax-clickhouse, is under a
commercial licence and made for clickhouse-connect 0.7, so it is not used here).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
from bytewax import operators as op
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from work import DOCUMENTED_ROWS, Job, Row, Table, Work, job

Batch = tuple[str, list[Row]]


class ClickHouseSink(DynamicSink[Batch]):
    def __init__(self, job: Job) -> None:
        self._job = job

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ClickHousePartition:
        return ClickHousePartition(Table(self._job))


class ClickHousePartition(StatelessSinkPartition[Batch]):
    def __init__(self, table: Table) -> None:
        self._table = table

    def write_batch(self, items: list[Batch]) -> None:
        for _, rows in items:
            self._table.insert(rows)


def decode(message: Any) -> Any:
    return orjson.loads(message.value)


asked = job()
work = Work(asked.terms)
flow = Dataflow("documented")
kafka = kop.input("kafka", flow, brokers=[asked.bootstrap], topics=[asked.topic])
events = op.map("decode", kafka.oks, decode)
new = op.filter("new", events, work.is_new)
rows = op.map("row", new, work.row)
keyed = op.key_on("key", rows, lambda row: "all")
batches = op.collect("batch", keyed, timeout=timedelta(seconds=1), max_size=DOCUMENTED_ROWS)
op.output("clickhouse", batches, ClickHouseSink(asked))

if __name__ == "__main__":
    cli_main(flow)
