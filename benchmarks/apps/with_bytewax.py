"""Bytewax: batches of its Kafka source through one batch step into a sink that collects rows for large inserts."""

from __future__ import annotations

from collections.abc import Iterable

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from work import INSERT_ROWS, Job, Row, Table, Work, job

CONSUMER = {"queued.max.messages.kbytes": "8192", "fetch.queue.backoff.ms": "10", "statistics.interval.ms": "0"}


class Landing(DynamicSink[Row]):
    def __init__(self, job: Job) -> None:
        self._job = job

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Inserts:
        return Inserts(Table(self._job))


class Inserts(StatelessSinkPartition[Row]):
    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: list[Row] = []

    def write_batch(self, items: list[Row]) -> None:
        self._rows += items
        if len(self._rows) >= INSERT_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._table.insert(self._rows)
        self._rows = []


asked = job()
work = Work(asked.terms)


def rows(messages: list[KafkaSourceMessage[bytes, bytes]]) -> Iterable[Row]:
    work.begin()
    return work.rows(message.value for message in messages)


flow = Dataflow("earshot_peer")
# It ends with the topic, so that what is left in the sink is inserted without a timer.
source = KafkaSource([asked.bootstrap], [asked.topic], tail=False, add_config=CONSUMER, batch_size=INSERT_ROWS)
op.output("landing", op.flat_map_batch("work", op.input("events", flow, source), rows), Landing(asked))

if __name__ == "__main__":
    cli_main(flow)
