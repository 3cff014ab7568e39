"""Every metric, declared once: name, type, unit and meaning. Dashboards, alert rules and documentation read this list.

Labels hold names of reasons, steps, tables and topics only: never anything from an event.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

READ = Counter("earshot_events_read", "Records read from Kafka", registry=REGISTRY)
LANDED = Counter("earshot_events_landed", "Rows whose insert into ClickHouse returned", registry=REGISTRY)
DROPPED = Counter("earshot_events_dropped", "Events left out on purpose", ["reason"], registry=REGISTRY)
REJECTED = Counter("earshot_events_rejected", "Records that became dead letters", ["step"], registry=REGISTRY)
WAITED = Counter("earshot_events_waited", "Changes put aside until their event comes", registry=REGISTRY)
NOTES = Counter("earshot_notes", "What is no outcome of an event: unknown_field", ["note"], registry=REGISTRY)
WAITING = Gauge("earshot_waiting_changes", "Changes that wait for their event", registry=REGISTRY)
STEP_SECONDS = Histogram(
    "earshot_step_seconds", "Time of a step for a batch, seconds", ["step"], buckets=_SECONDS, registry=REGISTRY
)
BATCH_ROWS = Histogram(
    "earshot_batch_rows", "Records in a batch", buckets=(1, 10, 100, 1_000, 3_000, 10_000, 30_000), registry=REGISTRY
)
INSERT_SECONDS = Histogram(
    "earshot_insert_seconds", "Time of an insert, tries included, seconds", ["table"], buckets=_SECONDS, registry=REGISTRY
)
RETRIES = Counter("earshot_retries", "Requests to ClickHouse that had to be repeated", ["what"], registry=REGISTRY)
VISIBLE_SECONDS = Histogram(
    "earshot_visible_latency_seconds", "From Kafka's timestamp to landed, seconds", buckets=_SECONDS, registry=REGISTRY
)
LAG = Gauge("earshot_lag_records", "Records behind the end of the partitions this worker owns", registry=REGISTRY)
PARTITIONS = Gauge("earshot_partitions", "Partitions this worker owns", registry=REGISTRY)
SEEDED = Counter("earshot_seeded_revisions", "Known revisions read from ClickHouse on assignment", registry=REGISTRY)
DEDUP_BYTES = Gauge("earshot_dedup_bytes", "Memory of the known revisions, bytes", registry=REGISTRY)
READY = Gauge("earshot_ready", "1 when /ready says so", registry=REGISTRY)


def observe_all(histogram: Histogram, values: npt.NDArray[np.float64]) -> None:
    """Observes a whole column at once: prometheus_client's own `observe` takes one value a call."""
    if not len(values):
        return
    bounds = np.array(histogram._upper_bounds)
    counts = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds))
    for bucket, count in zip(histogram._buckets, counts, strict=True):
        if count:
            bucket.inc(float(count))
    histogram._sum.inc(float(values.sum()))
