"""Every metric, declared once: name, type, unit and meaning. Dashboards, alert rules and documentation read this list.

Labels hold names of reasons, steps, tables, partitions and parts of the system only, never anything from an event. An unknown
value has no sample: a partition that this worker does not own, or a table that ClickHouse was not asked about.

A counter appears with its labels at the start of the worker, so that Prometheus sees its first increment.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple

import polars as pl
from prometheus_client import Counter, Gauge, Info

from pipeline.monitoring.declare import REGISTRY as REGISTRY
from pipeline.monitoring.declare import column_histogram, counter, declared, gauge, histogram
from pipeline.monitoring.old_names import OldNames
from pipeline.monitoring.reject_reasons import CLASSES, OTHERS
from schemas import labels
from schemas.erasures import ERASED

TABLES = ("interactions", "dead_letters", "pending_changes")
"""Those that a worker inserts into."""
MEASURED = (*TABLES, "account_events", "assignments", "identity_edges")
"""Those whose size a worker measures."""
CAUSES = ("partitions", "kafka", "clickhouse", "dead_letters", "signals", "evidence", "held", "other")
"""What can keep a worker from being ready; `held`: a partition whose next offset Kafka has lost."""
STATES = ("reading", "seeding", "held")
KEPT = ("memory", "table")
ROLLUPS = ("quarters", "threads", "account_quarters", "relations", "measures", "orders")
"""The names of pipeline/rollups/tables.py."""

_WORK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300)
_LATENCY = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 3600)
_AGE = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_ROWS = (1, 10, 30, 100, 300, 1_000, 3_000, 10_000, 20_000, 30_000)


# --- is it up ---------------------------------------------------------------------------------------------------------
BUILD = declared(Info("earshot_build", "Version of Earshot and of Python", registry=REGISTRY))
READY = gauge("ready", "1 when /ready says so")
LIVE = gauge("live", "1 when /live says so")
UNREADY = gauge("unready", "1 for each cause that keeps the worker from being ready", "cause")
PARTITIONS = gauge("partitions", "Partitions this worker owns, by what it does with them", "state")
TOPIC_PARTITIONS = gauge("topic_partitions", "Partitions of the events topic, whoever owns them")

# --- events -----------------------------------------------------------------------------------------------------------
READ = counter("events_read", "Records read from Kafka")
LANDED = counter("events_landed", "Rows whose insert into ClickHouse returned")
DROPPED = counter("events_dropped", "Events left out on purpose", "reason")
REJECTED = counter("events_rejected", "Records that became dead letters, by step and class of reason", "step", "reason")
UNREADABLE = counter("offsets_unreadable", "Offsets that can't be read: a dead letter stands for a batch of them")
WAITED = counter("events_waited", "Changes set aside until their event comes")
NOTES = counter(
    "event_notes", "Notes on events, by kind (unknown_field, broken_account, second_create, moved_created_at)", "note"
)
WAITING = gauge("waiting_changes", "Changes that wait for their event, in memory or in the table", "kept")

# --- sentiment --------------------------------------------------------------------------------------------------------
LABELLED = counter("sentiment_labelled", "Rows that landed with a label, or got it later", "label")
UNKNOWN = counter("sentiment_unknown", "Rows that can't be labelled", "reason")
DEFERRED = counter("sentiment_deferred", "Rows that landed to be labelled later")
DEFERRED_NOW = gauge("sentiment_deferred_rows", "Rows of this worker's partitions that wait for their label")
DEFERRED_AGE = gauge("sentiment_deferred_age_seconds", "Longest wait of a row for its label, 0 when no row waits")
DEFERRED_SECONDS = counter("sentiment_deferred_seconds", "Model time for landed rows; for batches see step_seconds")
CACHED = counter("sentiment_texts", "Texts to be labelled, by cache hit or miss", "cache")

# --- alerts -----------------------------------------------------------------------------------------------------------
SIGNALS = counter("signals_sent", "Records to topic signals: touched minutes, and matches of single-event rules")
SIGNAL_SECONDS = histogram("signal_seconds", "From publishing a signal until Kafka acknowledged it, retries included", _WORK)
CANDIDATES = counter("alert_candidates", "Events that match a single-event rule, once for each rule and brand", "rule_type")
REPLAYED = counter("events_replayed", "Known events read again before their commit: rules evaluate them again")
SIGNALS_UNREADABLE = counter("signals_unreadable", "Invalid signals in the topic or table alert_candidates, skipped")
ALERTS_OPEN = gauge("alerts_open", "Alerts that are not resolved, by state; on the leader", "state")
ALERT_CHANGES = counter("alerts_changes", "Changes of alerts, by new state", "state")
ALERT_SECONDS = histogram(
    "alert_seconds", "From the Kafka timestamp of the triggering record until a receiver accepted the alert", _LATENCY, "path"
)
ALERT_DELIVERIES = counter("alert_deliveries", "Messages to receivers, by result", "receiver", "result")
EVALUATION_SECONDS = histogram("alert_evaluation_seconds", "Time to read touched minutes and evaluate all windows", _WORK)
ALERT_SCOPES = gauge("alert_scopes", "Scopes that windowed rules count: brands, and brands by platform or language")
ALERT_SCOPES_LEFT_OUT = counter("alert_scopes_left_out", "Scopes not counted, or dropped although they mattered: too many")
ALERT_HISTORY_DAYS = gauge("alert_history_days", "Days of history for spikes: 28, or less if the history is too large")
ALERT_CANDIDATES_WAITING = gauge(
    "alert_candidates_waiting", "Events that meet a rule which control's alerts.yaml does not have: they wait a day for it"
)
ALERT_CANDIDATES_DROPPED = counter("alert_candidates_dropped", "Events dropped that waited for their rule: a day, or too many")
NO_DATA_LEFT_OUT = counter("alert_no_data_left_out", "Names that no_data rules ignore, too many; counted each minute")
LATE_DAYS_FAILED = counter("alert_late_days_failed", "Backtests of days with late windows that failed; each is retried later")
RECONCILED_ROWS = counter("reconciled_rows", "Rows that control moved to the row of their event")
RECONCILE_FAILED = counter("reconcile_failed", "Runs of control over rows that landed which failed; each is retried later")
RECONCILE_AGE = gauge("reconcile_age_seconds", "How long ago the rows landed from which control reconciles on")
ROLLUP_LAG = gauge(
    "rollup_lag_seconds",
    "Age of the oldest change that a rollup lacks, 0 when none waits, by quarter: running, older",
    "quarter",
)
ROLLUP_SECONDS = histogram("rollup_seconds", "Time of a statement that makes a part of a rollup anew", _WORK, "rollup")
ROLLUPS_LEFT_OUT = counter("rollups_left_out", "Conversations too long for table threads, whenever they were to be made anew")
ROLLUPS_FAILED = counter("rollups_failed", "Such statements that failed; each is retried", "rollup")
WATERMARK_AGE = gauge("alert_watermark_age_seconds", "Age of the time at which windows are evaluated")
CAMPAIGN_SECONDS = histogram("campaign_search_seconds", "Time of a search for campaigns, on one core at a time", _WORK)
CAMPAIGN_LEFT_OUT = counter("campaign_minutes_left_out", "Minutes that searches for campaigns left out or cut: too many texts")
CAMPAIGN_WAIT = gauge("campaign_wait_seconds", "Age of the oldest touched minute whose search for campaigns has not ended")
RULES_RELOADS = counter("rules_reloads", "Changes of alerts.yaml, by result: ok, failed", "result")
RULES_STALE = gauge("rules_stale", "1 while alerts.yaml is broken or missing and the version before is active")

# --- Kafka's topics -----------------------------------------------------------------------------------------------------
RECORDS_REFUSED = counter("records_refused", "Records too large or invalid for their topic: cut, halved or left out", "topic")
ALERTS_MISSED = counter("alerts_missed_by_topic", "Changes of alerts that topic alerts missed; table alerts has them")
PRODUCERS_RENEWED = counter("producers_renewed", "Producers that met a fatal error and were replaced", "topic")

# --- time -------------------------------------------------------------------------------------------------------------
KAFKA_LATENCY = column_histogram("kafka_latency_seconds", "From a record's Kafka timestamp until its batch landed", _LATENCY)
EVENT_LATENCY = column_histogram("event_latency_seconds", "From created_at (a change: occurred_at) until the row landed", _AGE)
LAG_RECORDS = gauge("lag_records", "Records between the last landed one and the partition's end", "partition")
LAG_SECONDS = gauge("lag_seconds", "Lag in seconds: every record older than this has landed", "partition")
COMMIT_AGE = gauge("commit_age_seconds", "Longest wait of a landed batch for its commit, 0 when none waits")

# --- batches ----------------------------------------------------------------------------------------------------------
BATCH_ROWS = histogram("batch_rows", "Records in a batch", _ROWS)
IN_FLIGHT = gauge("batches_in_flight", "Batches that were read and are not finished")
STEP_SECONDS = histogram("step_seconds", "Time of a step for a batch", _WORK, "step")
STEP_CPU_SECONDS = counter("step_cpu_seconds", "CPU time of a step's own thread, without pools of threads", "step")
STEP_WAIT_SECONDS = histogram("step_wait_seconds", "Time a batch waited in the channel before a step", _WORK, "step")

# --- seeding, ClickHouse, brands, memory ------------------------------------------------------------------------------
SEEDED = counter("seeded_revisions", "Known revisions read from ClickHouse on assignment")
SEED_SECONDS = histogram("seed_seconds", "Time to read the known revisions of newly assigned partitions", _WORK)
INSERT_SECONDS = histogram("insert_seconds", "Time of an insert, retries included", _WORK, "table")
INSERT_ROWS = counter("insert_rows", "Rows sent and acknowledged", "table")
RETRIES = counter("clickhouse_retries", "Retried requests to ClickHouse", "request")
TABLE_PARTS = gauge("table_parts", "Active parts of the table", "table")
PARTITION_PARTS = gauge("partition_parts", "Active parts of the table's fullest partition, which ClickHouse limits", "table")
TABLE_ROWS = gauge("table_rows", "Rows stored, including versions that are not merged yet", "table")
TABLE_BYTES = gauge("table_bytes", "Bytes of the table on disk, compressed", "table")
DEDUP_BYTES = gauge("dedup_bytes", "Memory of the known revisions and events")
DROPPED_BYTES = gauge("dropped_keys_bytes", "Memory of the events whose create was dropped as irrelevant")
BRANDS_RELOADS = counter("brands_reloads", "Changes of brands.yaml, by result: ok, failed", "result")
BRANDS_STALE = gauge("brands_stale", "1 while brands.yaml is broken or missing and the version before is active")
ROLES_RELOADS = counter("roles_reloads", "Changes of roles.yaml, by result: ok, failed", "result")
ROLES_STALE = gauge("roles_stale", "1 while roles.yaml is broken or missing and the version before is active")
MEMORY_LIMIT = gauge("memory_limit_bytes", "Memory this process may use: its control group's limit, else the machine's")


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
ROLES = Reloads("roles", ROLES_RELOADS, ROLES_STALE)
RULES = Reloads("rules", RULES_RELOADS, RULES_STALE)


def say_version() -> None:
    """Sets metric build."""
    BUILD.info({"version": version("earshot"), "python": platform.python_version()})


def start(steps: list[str]) -> None:
    """Gives every label that is known beforehand its first sample: 0."""
    say_version()
    for reason in CLASSES:
        REJECTED.labels("decode", reason)
    for step, reason in OTHERS.items():
        REJECTED.labels(step, reason)
    for reason in "duplicate", "deleted", ERASED:
        DROPPED.labels(reason)
    for note in "broken_account", "second_create", "moved_created_at":
        NOTES.labels(note)
    for step in steps:
        STEP_SECONDS.labels(step)
        STEP_CPU_SECONDS.labels(step)
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
    for cache in ("hit", "miss"):
        CACHED.labels(cache)
    for state in STATES:
        PARTITIONS.labels(state)
    for kept in KEPT:
        WAITING.labels(kept)
    for topic in ("dead_letters", "signals", "evidence"):
        RECORDS_REFUSED.labels(topic)
        PRODUCERS_RENEWED.labels(topic)


def start_control(receivers: Iterable[str]) -> None:
    """The same for `earshot control`."""
    say_version()
    for state in ("pending", "firing", "acknowledged"):
        ALERTS_OPEN.labels(state).set(0)
    WATERMARK_AGE.set(0)
    for state in ("pending", "firing", "acknowledged", "resolved"):
        ALERT_CHANGES.labels(state)
    PRODUCERS_RENEWED.labels("alerts")
    for result in ("ok", "failed"):
        ROLES_RELOADS.labels(result)
        RULES_RELOADS.labels(result)
    for path in ("single", "windowed"):
        ALERT_SECONDS.labels(path)
    for rollup in ROLLUPS:
        ROLLUP_SECONDS.labels(rollup)
        ROLLUPS_FAILED.labels(rollup)
    for receiver in receivers:
        for result in ("sent", "failed", "refused"):
            ALERT_DELIVERIES.labels(receiver, result)


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
