"""Evidence from a worker to `earshot customers`, in topic identity, acknowledged.

It follows the insert and the signals and precedes the commit, so each edge of a landed row is sent once or more; one that comes
again changes nothing (schemas/evidence.py). Of rows that landed before a kill, maybe without their evidence, the worker reads
the authors back and sends their edges with the batch that read their records again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Protocol

import polars as pl

from pipeline.batch import EventBatch
from pipeline.config.settings import KafkaConfig
from pipeline.fence import Fence
from pipeline.kafka.producer import Record, ReliableProducer
from pipeline.monitoring import identity_metrics
from pipeline.monitoring.health import Vitals
from schemas.evidence import LARGEST, dump

log = logging.getLogger("earshot.kafka")
MAX_BYTES = 1_000_000
"""Of a record: the limit of a topic without a setting of its own."""


class Found(Protocol):
    """Knows the edges (step identity)."""

    def to_send(self, batch: EventBatch) -> pl.DataFrame:
        """EVIDENCE_COLUMNS of a batch whose rows have landed."""
        ...

    def evidence_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """EVIDENCE_COLUMNS of rows that landed before."""
        ...


class LandedAuthors(Protocol):
    """Reads rows back that landed before."""

    def authors(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of changes (batch.replayed), with the columns that evidence is made of."""
        ...


class EvidencePublisher:
    """Sends the evidence of each landing. For the landing agent."""

    def __init__(
        self, client: KafkaConfig, topic: str, fence: Fence, vitals: Vitals, found: Found, table: LandedAuthors
    ) -> None:
        config = {**client, "linger.ms": 0, "message.max.bytes": MAX_BYTES}  # it waits for each landing's records
        self._producer = ReliableProducer(config, topic, "evidence", fence, vitals, "landing")
        self._topic, self._found, self._table = topic, found, table

    def publish(self, batches: Sequence[EventBatch]) -> None:
        """These batches' rows are in ClickHouse. On return the topic has their evidence.

        Raises GivenUp when their generation is over, EarshotError as the producer does.
        """
        found = [self._found.to_send(batch) for batch in batches]
        again = [batch.replayed for batch in batches if batch.replayed is not None]
        if again:
            rows = self._table.authors(pl.concat(again).unique("revision", maintain_order=True))
            if rows.height:
                found.append(self._found.evidence_of(rows))
        edges = pl.concat(found)
        if edges.height:
            started = time.monotonic()
            self._send(edges, batches[0].generation)
            identity_metrics.EVIDENCE.inc(edges.height)
            identity_metrics.EVIDENCE_SECONDS.observe(time.monotonic() - started)

    def _send(self, edges: pl.DataFrame, generation: int) -> None:
        """Sends the edges: those of a record that is refused in halves, and one that is refused alone is left out."""
        for index, refusal in self._producer.send([Record(record) for record in dump(edges)], generation).items():
            refused = edges[index * LARGEST : (index + 1) * LARGEST]
            if (half := refused.height // 2) == 0:
                log.error("topic %s refuses an edge, which is left out: %s", self._topic, refusal.why)
                continue
            self._send(refused[:half], generation)
            self._send(refused[half:], generation)
