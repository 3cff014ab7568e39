"""Every metric, declared once: name, type, unit and meaning. Dashboards, alert rules and documentation read this list.

Labels hold names of reasons, steps, tables, partitions and parts of the system only, never anything from an event. An unknown
value has no sample: a partition that this worker does not own, or a table that ClickHouse was not asked about.

A counter appears with its labels at the start of the worker, so that Prometheus sees its first increment.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple, TypeVar

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, disable_created_metrics

from pipeline.monitoring.column_histogram import ColumnHistogram
from pipeline.monitoring.old_names import OldNames
from pipeline.monitoring.reject_reasons import CLASSES, OTHERS
from schemas import labels

# A series more for each counter, which Prometheus has no use for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it lacks its `-> None`
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

TABLES = ("interactions", "dead_letters", "pending_changes")
CAUSES = ("partitions", "kafka", "clickhouse", "dead_letters", "signals", "held", "other")
"""What can keep a worker from being ready; `held`: a partition whose next offset Kafka has lost."""
STATES = ("reading", "seeding", "held")
KEPT = ("memory", "table")

_WORK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300)
_LATENCY = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 3600)
_AGE = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_ROWS = (1, 10, 30, 100, 300, 1_000, 3_000, 10_000, 20_000, 30_000)


Metric = Counter | Gauge | Histogram | Info | ColumnHistogram
AnyMetric = TypeVar("AnyMetric", bound=Metric)
DECLARED: list[tuple[Metric, tuple[str, ...]]] = []
"""Every metric with the names of its labels, in the order below."""


def _declared(metric: AnyMetric, labels: tuple[str, ...] = ()) -> AnyMetric:
    DECLARED.append((metric, labels))
    return metric


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return _declared(Counter(f"earshot_{name}", meaning, labels, registry=REGISTRY), labels)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return _declared(Gauge(f"earshot_{name}", meaning, labels, registry=REGISTRY), labels)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return _declared(Histogram(f"earshot_{name}", meaning, labels, buckets=buckets, registry=REGISTRY), labels)


def _column_histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> ColumnHistogram:
    return _declared(ColumnHistogram(f"earshot_{name}", meaning, buckets, REGISTRY))


# --- is it up ---------------------------------------------------------------------------------------------------------
BUILD = _declared(Info("earshot_build", "Version of Earshot and of Python", registry=REGISTRY))
READY = _gauge("ready", "1 when /ready says so")
LIVE = _gauge("live", "1 when /live says so")
UNREADY = _gauge("unready", "1 for each cause that keeps the worker from being ready", "cause")
PARTITIONS = _gauge("partitions", "Partitions this worker owns, by what it does with them", "state")
TOPIC_PARTITIONS = _gauge("topic_partitions", "Partitions of the events topic, whoever owns them")

# --- events -----------------------------------------------------------------------------------------------------------
READ = _counter("events_read", "Records read from Kafka")
LANDED = _counter("events_landed", "Rows whose insert into ClickHouse returned")
DROPPED = _counter("events_dropped", "Events left out on purpose", "reason")
REJECTED = _counter("events_rejected", "Records that became dead letters, by step and class of reason", "step", "reason")
UNREADABLE = _counter("offsets_unreadable", "Offsets that can't be read: a dead letter stands for a batch of them")
WAITED = _counter("events_waited", "Changes set aside until their event comes")
NOTES = _counter("event_notes", "Notes on events, by kind (unknown_field, second_create, moved_created_at)", "note")
WAITING = _gauge("waiting_changes", "Changes that wait for their event, in memory or in the table", "kept")

# --- sentiment --------------------------------------------------------------------------------------------------------
LABELLED = _counter("sentiment_labelled", "Rows that landed with a label, or got it later", "label")
UNKNOWN = _counter("sentiment_unknown", "Rows that can't be labelled", "reason")
DEFERRED = _counter("sentiment_deferred", "Rows that landed to be labelled later")
DEFERRED_NOW = _gauge("sentiment_deferred_rows", "Rows of this worker's partitions that wait for their label")
DEFERRED_AGE = _gauge("sentiment_deferred_age_seconds", "Longest wait of a row for its label, 0 when no row waits")
DEFERRED_SECONDS = _counter("sentiment_deferred_seconds", "Model time for landed rows; for batches see step_seconds")
CACHED = _counter("sentiment_texts", "Texts to be labelled, by cache hit or miss", "cache")

# --- alerts -----------------------------------------------------------------------------------------------------------
SIGNALS = _counter("signals_sent", "Records to topic signals: touched minutes, and matches of single-event rules")
SIGNAL_SECONDS = _histogram("signal_seconds", "From publishing a signal until Kafka acknowledged it, retries included", _WORK)
CANDIDATES = _counter("alert_candidates", "Events that match a single-event rule, once for each rule and brand", "rule_type")
REPLAYED = _counter("events_replayed", "Known events read again before their commit: rules evaluate them again")
SIGNALS_UNREADABLE = _counter("signals_unreadable", "Invalid signals in the topic or table alert_candidates, skipped")
ALERTS_OPEN = _gauge("alerts_open", "Alerts that are not resolved, by state; on the leader", "state")
ALERT_CHANGES = _counter("alerts_changes", "Changes of alerts, by new state", "state")
ALERT_SECONDS = _histogram(
    "alert_seconds", "From the Kafka timestamp of the triggering record until a receiver accepted the alert", _LATENCY, "path"
)
ALERT_DELIVERIES = _counter("alert_deliveries", "Messages to receivers, by result", "receiver", "result")
EVALUATION_SECONDS = _histogram("alert_evaluation_seconds", "Time to read touched minutes and evaluate all windows", _WORK)
ALERT_SCOPES = _gauge("alert_scopes", "Scopes that windowed rules count: brands, and brands by platform or language")
ALERT_SCOPES_LEFT_OUT = _counter(
    "alert_scopes_left_out", "Scopes that were not counted, or were dropped although they mattered, because there are too many"
)
ALERT_HISTORY_DAYS = _gauge("alert_history_days", "Days of history for spikes: 28, or less if the history is too large")
ALERT_CANDIDATES_WAITING = _gauge(
    "alert_candidates_waiting", "Events that meet a rule which control's alerts.yaml does not have: they wait a day for it"
)
ALERT_CANDIDATES_DROPPED = _counter("alert_candidates_dropped", "Events dropped that waited for their rule: a day, or too many")
NO_DATA_LEFT_OUT = _counter("alert_no_data_left_out", "Names that no_data rules ignore, too many; counted each minute")
LATE_DAYS_FAILED = _counter("alert_late_days_failed", "Backtests of days with late windows that failed; each is retried later")
RECONCILED_ROWS = _counter("reconciled_rows", "Rows that control moved to the row of their event")
RECONCILE_FAILED = _counter("reconcile_failed", "Runs of control over rows that landed which failed; each is retried later")
RECONCILE_AGE = _gauge("reconcile_age_seconds", "How long ago the rows landed from which control reconciles on")
WATERMARK_AGE = _gauge("alert_watermark_age_seconds", "Age of the time at which windows are evaluated")
CAMPAIGN_SECONDS = _histogram("campaign_search_seconds", "Time of a search for campaigns, on one core at a time", _WORK)
CAMPAIGN_LEFT_OUT = _counter("campaign_minutes_left_out", "Minutes that searches for campaigns left out or cut: too many texts")
CAMPAIGN_WAIT = _gauge("campaign_wait_seconds", "Age of the oldest touched minute whose search for campaigns has not ended")
RULES_RELOADS = _counter("rules_reloads", "Changes of alerts.yaml, by result: ok, failed", "result")
RULES_STALE = _gauge("rules_stale", "1 while alerts.yaml is broken or missing and the version before is active")

# --- Kafka's topics -----------------------------------------------------------------------------------------------------
RECORDS_REFUSED = _counter("records_refused", "Records too large or invalid for their topic: cut, halved or left out", "topic")
ALERTS_MISSED = _counter("alerts_missed_by_topic", "Changes of alerts that topic alerts missed; table alerts has them")
PRODUCERS_RENEWED = _counter("producers_renewed", "Producers that met a fatal error and were replaced", "topic")

# --- time -------------------------------------------------------------------------------------------------------------
KAFKA_LATENCY = _column_histogram("kafka_latency_seconds", "From a record's Kafka timestamp until its batch landed", _LATENCY)
EVENT_LATENCY = _column_histogram("event_latency_seconds", "From created_at (a change: occurred_at) until the row landed", _AGE)
LAG_RECORDS = _gauge("lag_records", "Records between the last landed one and the partition's end", "partition")
LAG_SECONDS = _gauge("lag_seconds", "Lag in seconds: every record older than this has landed", "partition")
COMMIT_AGE = _gauge("commit_age_seconds", "Longest wait of a landed batch for its commit, 0 when none waits")

# --- batches ----------------------------------------------------------------------------------------------------------
BATCH_ROWS = _histogram("batch_rows", "Records in a batch", _ROWS)
IN_FLIGHT = _gauge("batches_in_flight", "Batches that were read and are not finished")
STEP_SECONDS = _histogram("step_seconds", "Time of a step for a batch", _WORK, "step")
STEP_WAIT_SECONDS = _histogram("step_wait_seconds", "Time a batch waited in the channel before a step", _WORK, "step")

# --- seeding, ClickHouse, brands, memory ------------------------------------------------------------------------------
SEEDED = _counter("seeded_revisions", "Known revisions read from ClickHouse on assignment")
SEED_SECONDS = _histogram("seed_seconds", "Time to read the known revisions of newly assigned partitions", _WORK)
INSERT_SECONDS = _histogram("insert_seconds", "Time of an insert, retries included", _WORK, "table")
INSERT_ROWS = _counter("insert_rows", "Rows sent and acknowledged", "table")
RETRIES = _counter("clickhouse_retries", "Retried requests to ClickHouse", "request")
TABLE_PARTS = _gauge("table_parts", "Active parts of the table", "table")
PARTITION_PARTS = _gauge("partition_parts", "Active parts of the table's fullest partition, which ClickHouse limits", "table")
TABLE_ROWS = _gauge("table_rows", "Rows stored, including versions that are not merged yet", "table")
TABLE_BYTES = _gauge("table_bytes", "Bytes of the table on disk, compressed", "table")
DEDUP_BYTES = _gauge("dedup_bytes", "Memory of the known revisions and events")
DROPPED_BYTES = _gauge("dropped_keys_bytes", "Memory of the events whose create was dropped as irrelevant")
BRANDS_RELOADS = _counter("brands_reloads", "Changes of brands.yaml, by result: ok, failed", "result")
BRANDS_STALE = _gauge("brands_stale", "1 while brands.yaml is broken or missing and the version before is active")
MEMORY_LIMIT = _gauge("memory_limit_bytes", "Memory this process may use: its control group's limit, else the machine's")


OLD_NAMES = {
    "earshot_notes": NOTES,
    "earshot_sentiment_later_seconds": DEFERRED_SECONDS,
    "earshot_alert_tick_seconds": EVALUATION_SECONDS,
    "earshot_hand_over_seconds": STEP_WAIT_SECONDS,
}
"""Metrics with a new name, by the name before: exported beside it until the next release."""
REGISTRY.register(OldNames(OLD_NAMES))


class Reloads(NamedTuple):
    """The metrics of a watched file; `what` it lists."""

    what: str
    changes: Counter
    stale: Gauge


BRANDS = Reloads("brands", BRANDS_RELOADS, BRANDS_STALE)
RULES = Reloads("rules", RULES_RELOADS, RULES_STALE)


def start(steps: list[str]) -> None:
    """Gives every label that is known beforehand its first sample: 0."""
    BUILD.info({"version": version("earshot"), "python": platform.python_version()})
    for reason in CLASSES:
        REJECTED.labels("decode", reason)
    for step, reason in OTHERS.items():
        REJECTED.labels(step, reason)
    for counter, label in (DROPPED, "duplicate"), (DROPPED, "deleted"), (NOTES, "second_create"), (NOTES, "moved_created_at"):
        counter.labels(label)
    for step in steps:
        STEP_SECONDS.labels(step)
        STEP_WAIT_SECONDS.labels(step)
    for table in TABLES:
        INSERT_SECONDS.labels(table)
        INSERT_ROWS.labels(table)
    for request in ("insert", "query", "command"):
        RETRIES.labels(request)
    for result in ("ok", "failed"):
        BRANDS_RELOADS.labels(result)
        RULES_RELOADS.labels(result)
    for rule_type in ("keyword", "reach"):
        CANDIDATES.labels(rule_type)
    for label in labels.LABELS:
        LABELLED.labels(label)
    for reason in labels.REASONS:
        UNKNOWN.labels(reason)
    for known in ("hit", "miss"):
        CACHED.labels(known)
    for state in STATES:
        PARTITIONS.labels(state)
    for kept in KEPT:
        WAITING.labels(kept)
    for topic in ("dead_letters", "signals"):
        RECORDS_REFUSED.labels(topic)
        PRODUCERS_RENEWED.labels(topic)


def start_control(receivers: Iterable[str]) -> None:
    """The same for `earshot control`."""
    BUILD.info({"version": version("earshot"), "python": platform.python_version()})
    for state in ("pending", "firing", "acknowledged"):
        ALERTS_OPEN.labels(state).set(0)
    WATERMARK_AGE.set(0)
    for state in ("pending", "firing", "acknowledged", "resolved"):
        ALERT_CHANGES.labels(state)
    PRODUCERS_RENEWED.labels("alerts")
    for path in ("single", "windowed"):
        ALERT_SECONDS.labels(path)
    for receiver in receivers:
        for result in ("sent", "failed", "refused"):
            ALERT_DELIVERIES.labels(receiver, result)
    for result in ("ok", "failed"):
        RULES_RELOADS.labels(result)


def count_labels(rows: pl.DataFrame) -> None:
    """Counts what the columns of sentiment say of the rows."""
    groups = rows.group_by("sentiment_status", "sentiment_label", "sentiment_reason").len()
    for status, label, reason, count in groups.iter_rows():
        if status == labels.LABELLED:
            LABELLED.labels(label).inc(count)
        elif status == labels.UNKNOWN:
            UNKNOWN.labels(reason).inc(count)
        elif status == labels.DEFERRED:
            DEFERRED.inc(count)
