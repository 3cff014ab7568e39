"""Prometheus' files: promtool accepts them, and each alert fires for its cause and for nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.board import series
from pipeline.listen.states import STATES
from pipeline.monitoring import erasing_metrics, identity_metrics, metrics  # noqa: F401  # they declare
from tests.support.deploy import DEPLOY, ROOT, run

FOLDER = DEPLOY / "prometheus"
RULES = [FOLDER / "recording.yml", FOLDER / "alerts.yml"]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES[1].read_text())["groups"] for rule in group["rules"]
}

# What Prometheus has of two workers that are well: 1,000 records a second each, a tenth duplicates, 0.2 s of latency.
WELL = {
    "up": "1x70",
    "process_start_time_seconds": "1000x70",
    "process_resident_memory_bytes": "4e8x70",
    "earshot_memory_limit_bytes": "2e9x70",
    "earshot_ready": "1x70",
    "earshot_live": "1x70",
    **{f'earshot_unready{{cause="{cause}"}}': "0x70" for cause in metrics.CAUSES},
    'earshot_partitions{state="reading"}': "4x70",
    'earshot_partitions{state="seeding"}': "0x70",
    'earshot_partitions{state="held"}': "0x70",
    "earshot_topic_partitions": "8x70",
    "earshot_events_read_total": "0+60000x70",
    "earshot_events_landed_total": "0+53900x70",
    'earshot_events_dropped_total{reason="duplicate"}': "0+6000x70",
    'earshot_events_rejected_total{step="decode",reason="json"}': "0+100x70",
    'earshot_events_rejected_total{step="clickhouse",reason="refused"}': "0x70",
    'earshot_waiting_changes{kept="memory"}': "10x70",
    'earshot_waiting_changes{kept="table"}': "0x70",
    "earshot_sentiment_deferred_age_seconds": "20x70",
    "earshot_brands_stale": "0x70",
    "earshot_rules_stale": "0x70",
    "earshot_customers_map_age_seconds": "0.4x70",
    'earshot_kafka_latency_seconds_bucket{le="0.2"}': "0+30000x70",
    'earshot_kafka_latency_seconds_bucket{le="1.0"}': "0+60000x70",
    'earshot_kafka_latency_seconds_bucket{le="10.0"}': "0+60000x70",
    'earshot_kafka_latency_seconds_bucket{le="+Inf"}': "0+60000x70",
    "earshot_kafka_latency_seconds_count": "0+60000x70",
    'earshot_lag_records{partition="0"}': "300x70",
    'earshot_lag_seconds{partition="0"}': "0.3x70",
    "earshot_commit_age_seconds": "0.1x70",
    'earshot_insert_seconds_bucket{table="interactions",le="0.1"}': "0+60x70",
    'earshot_insert_seconds_bucket{table="interactions",le="5.0"}': "0+60x70",
    'earshot_insert_seconds_bucket{table="interactions",le="+Inf"}': "0+60x70",
    'earshot_clickhouse_retries_total{request="insert"}': "0x70",
    'earshot_partition_parts{table="interactions"}': "20x70",
}
# And of a control that is well: what is a worker's stands at 0 there. Ten alerts a minute, two of them by single events.
CONTROL = {
    **{series: "0x70" for series in WELL if "{" not in series},
    **{f'earshot_unready{{cause="{cause}"}}': "0x70" for cause in metrics.CAUSES},
    **{f'earshot_kafka_latency_seconds_bucket{{le="{le}"}}': "0x70" for le in ("0.2", "1.0", "10.0", "+Inf")},
    "up": "1x70",
    "process_start_time_seconds": "1000x70",
    "process_resident_memory_bytes": "4e8x70",
    "earshot_ready": "1x70",
    "earshot_live": "1x70",
    'earshot_insert_seconds_bucket{table="alerts",le="0.1"}': "0+10x70",
    'earshot_insert_seconds_bucket{table="alerts",le="+Inf"}': "0+10x70",
    'earshot_alert_seconds_bucket{path="single",le="1.0"}': "0+2x70",
    'earshot_alert_seconds_bucket{path="single",le="1.5"}': "0+2x70",
    'earshot_alert_seconds_bucket{path="single",le="+Inf"}': "0+2x70",
    'earshot_alert_seconds_bucket{path="windowed",le="2.5"}': "0+8x70",
    'earshot_alert_seconds_bucket{path="windowed",le="5.0"}': "0+8x70",
    'earshot_alert_seconds_bucket{path="windowed",le="+Inf"}': "0+8x70",
    **{f'earshot_alert_deliveries_total{{receiver="{name}",result="sent"}}': "0+10x70" for name in ("chat", "pager")},
    'earshot_alert_deliveries_total{receiver="chat",result="failed"}': "0x70",
    'earshot_alert_deliveries_total{receiver="chat",result="refused"}': "0x70",
    "earshot_alert_watermark_age_seconds": "1x70",
    "earshot_alert_evaluation_seconds_count": "0+60x70",
    "earshot_campaign_wait_seconds": "40x70",
    'earshot_rollup_lag_seconds{quarter="running"}': "8x70",
    'earshot_rollup_lag_seconds{quarter="older"}': "300x70",
    'earshot_erasures_open{to="hide"}': "0x70",
    'earshot_erasures_open{to="purge"}': "2x70",
    "earshot_erasure_age_seconds": "90000x70",
    "earshot_signals_unreadable_total": "0x70",
    "earshot_alert_scopes_left_out_total": "0x70",
    "earshot_alerts_missed_by_topic_total": "0x70",
}
# And of a listener that is well, with a source that is polled each minute.
LISTENER = {
    **{series: "0x70" for series in WELL if "{" not in series},
    **{f'earshot_unready{{cause="{cause}"}}': "0x70" for cause in metrics.CAUSES},
    "up": "1x70",
    "process_start_time_seconds": "1000x70",
    "process_resident_memory_bytes": "1e8x70",
    "earshot_ready": "1x70",
    "earshot_live": "1x70",
    "earshot_sources_stale": "0x70",
    **{f'earshot_source_state{{source="blog",platform="rss",state="{state}"}}': "0x70" for state in STATES},
    'earshot_source_state{source="blog",platform="rss",state="running"}': "1x70",
    'earshot_source_due_timestamp_seconds{source="blog"}': "60+60x70",
}


# And of an `earshot customers` that is well, and leads.
CUSTOMERS = {
    **{series: "0x70" for series in WELL if "{" not in series},
    **{f'earshot_unready{{cause="{cause}"}}': "0x70" for cause in metrics.CAUSES},
    "up": "1x70",
    "process_start_time_seconds": "1000x70",
    "process_resident_memory_bytes": "5e8x70",
    "earshot_ready": "1x70",
    "earshot_live": "1x70",
    "earshot_customers_leads": "1x70",
    "earshot_identity_lag_seconds": "0.2x70",
    "earshot_identity_breaker_holds": "0x70",
    "earshot_identity_records_unreadable_total": "0x70",
}


# And of an `earshot console` that is well.
CONSOLE = {
    **{f'earshot_unready{{cause="{cause}"}}': "0x70" for cause in metrics.CAUSES},
    "up": "1x70",
    "process_start_time_seconds": "1000x70",
    "earshot_ready": "1x70",
    "earshot_live": "1x70",
}


@dataclass
class Case:
    """Worker a differs from the healthy one by `series`; then exactly `fires` fire, after `after` minutes and not before.

    Give or take one: which of the two files is evaluated first at a moment is not said.
    """

    series: dict[str, str]
    after: int
    fires: set[str]
    both: bool = False
    """Worker b too."""
    before: set[str] = field(default_factory=set)
    """What fires before `after` already."""
    control: dict[str, str] = field(default_factory=dict)
    """How control differs from the healthy one."""
    listener: dict[str, str] = field(default_factory=dict)
    """How the listener differs from the healthy one."""
    customers: dict[str, str] = field(default_factory=dict)
    """How customers differs from the healthy one."""
    console: dict[str, str] = field(default_factory=dict)
    """How the console differs from the healthy one."""


def unready(cause: str) -> dict[str, str]:
    return {"earshot_ready": "0x70", f'earshot_unready{{cause="{cause}"}}': "1x70"}


def of_control(after: int, *fires: str, **values: str) -> Case:
    """The workers are well; each value's name is a gauge of control, without its `earshot_`."""
    return Case({}, after, set(fires), control={f"earshot_{name}": value for name, value in values.items()})


def of_listener(after: int, *fires: str, **values: str) -> Case:
    """The same of the listener."""
    return Case({}, after, set(fires), listener={f"earshot_{name}": value for name, value in values.items()})


def of_customers(after: int, *fires: str, **values: str) -> Case:
    """The same of customers."""
    return Case({}, after, set(fires), customers={f"earshot_{name}": value for name, value in values.items()})


def of_source(
    after: int, *fires: str, states: dict[str, str], due: str = "60+60x70", gap: str = "_x70", contact: str = "_x70"
) -> Case:
    """The listener is well; its source goes through these states."""
    listener = {f'earshot_source_state{{source="blog",platform="rss",state="{state}"}}': v for state, v in states.items()}
    listener['earshot_source_due_timestamp_seconds{source="blog"}'] = due
    listener['earshot_source_gap_timestamp_seconds{source="blog"}'] = gap
    listener['earshot_source_contact_timestamp_seconds{source="blog"}'] = contact
    return Case({}, after, set(fires), listener=listener)


def delivered(sent: str, failed: str = "0x70", refused: str = "0x70") -> dict[str, str]:
    values = {"sent": sent, "failed": failed, "refused": refused}
    return {f'earshot_alert_deliveries_total{{receiver="chat",result="{result}"}}': v for result, v in values.items()}


STANDS = {
    "earshot_kafka_latency_seconds_count": "0+60000x10 600000x60",
    'earshot_lag_records{partition="0"}': "300+1000x70",
}
CASES = {
    "all is well": Case({}, 60, set()),
    "a worker is gone": Case({"up": "0x70"}, 1, {"EarshotWorkerDown"}),
    "no target": Case({"up": "_x70"}, 5, {"EarshotNoWorker"}, both=True),
    "a crash loop": Case({"process_start_time_seconds": "1000+60x70"}, 3, {"EarshotWorkerRestarts"}),
    "one restart": Case({"process_start_time_seconds": "1000x10 2000x60"}, 12, set()),
    "it hangs": Case({"earshot_live": "0x70"}, 1, {"EarshotWorkerNotLive"}),
    "not ready": Case(unready("partitions"), 5, {"EarshotWorkerNotReady"}),
    "no database": Case(unready("clickhouse") | STANDS, 2, {"EarshotClickHouseAway"}),
    "no broker": Case(unready("kafka"), 2, {"EarshotKafkaAway"}),
    "dead letters don't go": Case(unready("dead_letters"), 5, {"EarshotDeadLettersStuck"}),
    "dead letters don't go, for there is no broker": Case(
        unready("dead_letters") | {'earshot_unready{cause="kafka"}': "1x70"}, 2, {"EarshotKafkaAway"}
    ),
    "signals don't go": Case(unready("signals") | STANDS, 5, {"EarshotSignalsStuck"}),
    "signals don't go, for there is no broker": Case(
        unready("signals") | {'earshot_unready{cause="kafka"}': "1x70"}, 2, {"EarshotKafkaAway"}
    ),
    "evidence does not go": Case(unready("evidence") | STANDS, 5, {"EarshotEvidenceStuck"}),
    "evidence does not go, for there is no broker": Case(
        unready("evidence") | {'earshot_unready{cause="kafka"}': "1x70"}, 2, {"EarshotKafkaAway"}
    ),
    "a lost offset": Case(unready("held") | {'earshot_partitions{state="held"}': "1x70"}, 1, {"EarshotPartitionHeld"}),
    "no owner": Case({'earshot_partitions{state="reading"}': "3x70"}, 5, {"EarshotPartitionsWithoutOwner"}),
    "it stands": Case(STANDS, 17, {"EarshotStalled"}),
    "idle": Case(STANDS | {'earshot_lag_records{partition="0"}': "0x70"}, 60, set()),
    "behind": Case({'earshot_lag_seconds{partition="0"}': "45x70"}, 2, {"EarshotLag"}),
    "far behind": Case(
        {'earshot_lag_seconds{partition="0"}': "700x70"}, 5, {"EarshotLag", "EarshotLagLong"}, before={"EarshotLag"}
    ),
    "late": Case({'earshot_kafka_latency_seconds_bucket{le="1.0"}': "0+50000x70"}, 16, {"EarshotLatencyHigh"}),
    "no commits": Case({"earshot_commit_age_seconds": "70x70"}, 1, {"EarshotCommitsFail"}),
    "rejects": Case({'earshot_events_rejected_total{step="decode",reason="json"}': "0+3000x70"}, 11, {"EarshotRejects"}),
    "mostly rejects": Case(
        {'earshot_events_rejected_total{step="decode",reason="json"}': "0+50000x70"}, 6, {"EarshotRejectsMost"}
    ),
    "refused rows": Case(
        {'earshot_events_rejected_total{step="clickhouse",reason="refused"}': "0x9 1x60"}, 10, {"EarshotRowsRefused"}
    ),
    "duplicates": Case(
        {'earshot_events_dropped_total{reason="duplicate"}': "0+60000x70"}, 16, {"EarshotDuplicates"}, both=True
    ),
    "retries": Case({'earshot_clickhouse_retries_total{request="insert"}': "0+5x70"}, 12, {"EarshotClickHouseRetries"}),
    "slow inserts": Case(
        {'earshot_insert_seconds_bucket{table="interactions",le="0.1"}': "0+30x70"}, 16, {"EarshotInsertsSlow"}
    ),
    "parts": Case({'earshot_partition_parts{table="interactions"}': "400x70"}, 10, {"EarshotManyParts"}),
    "memory": Case({"process_resident_memory_bytes": "1.9e9x70"}, 5, {"EarshotMemoryHigh"}),
    "broken brands": Case({"earshot_brands_stale": "1x70"}, 1, {"EarshotBrandsStale"}),
    "labels wait": Case({"earshot_sentiment_deferred_age_seconds": "2000x70"}, 10, {"EarshotLabelsLate"}),
    "changes wait": Case({'earshot_waiting_changes{kept="table"}': "2e5x70"}, 30, {"EarshotChangesWait"}),
    "broken rules": Case({"earshot_rules_stale": "1x70"}, 1, {"EarshotRulesStale"}),
    "broken rules, of control": of_control(1, "EarshotRulesStale", rules_stale="1x70"),
    "control is gone": Case({}, 1, {"EarshotControlDown"}, control={"up": "0x70"}),
    "no control": Case({}, 5, {"EarshotControlMissing"}, control={"up": "_x70"}),
    "control in a crash loop": Case({}, 3, {"EarshotControlRestarts"}, control={"process_start_time_seconds": "1000+60x70"}),
    "control hangs": of_control(1, "EarshotControlNotLive", live="0x70"),
    "control is not ready": Case({}, 5, {"EarshotControlNotReady"}, control=unready("partitions")),
    "a receiver's task has ended": Case({}, 5, {"EarshotControlNotReady"}, control=unready("other")),
    "control has no database": Case({}, 2, {"EarshotClickHouseAway"}, control=unready("clickhouse") | {"earshot_live": "0x70"}),
    "control has no broker": Case({}, 2, {"EarshotKafkaAway"}, control=unready("kafka")),
    "late alerts": Case(
        {}, 16, {"EarshotAlertsLate"}, control={'earshot_alert_seconds_bucket{path="single",le="1.0"}': "0x70"}
    ),
    "late alerts of windows": Case(
        {}, 16, {"EarshotAlertsLate"}, control={'earshot_alert_seconds_bucket{path="windowed",le="2.5"}': "0x70"}
    ),
    "one late alert": Case(
        {},
        60,
        set(),
        control={
            'earshot_alert_seconds_bucket{path="single",le="1.0"}': "0x70",
            'earshot_alert_seconds_bucket{path="single",le="1.5"}': "0x44 1x25",
            'earshot_alert_seconds_bucket{path="single",le="+Inf"}': "0x44 1x25",
        },
    ),
    "no alert": Case({}, 60, set(), control={key: "0x70" for key in CONTROL if key.startswith("earshot_alert_seconds")}),
    "a receiver is down": Case({}, 11, {"EarshotAlertsUndelivered"}, control=delivered("0x70", failed="0+1x70")),
    "a receiver refuses": Case({}, 11, {"EarshotAlertsUndelivered"}, control=delivered("0x70", refused="0+1x70")),
    "a receiver refuses, and is asked seldom": Case(
        {}, 11, {"EarshotAlertsUndelivered"}, control=delivered("0x70", refused="0x1 1x70")
    ),
    "and still": Case(
        {}, 60, {"EarshotAlertsUndelivered"}, control=delivered("0x70", refused="0x1 1x70"), before={"EarshotAlertsUndelivered"}
    ),
    "a receiver takes some": Case({}, 60, set(), control=delivered("0+1x70", failed="0+1x70", refused="0+1x70")),
    "a receiver failed once": Case({}, 60, set(), control=delivered("0x10 1x60", failed="0x9 1x61")),
    "old events": of_control(5, "EarshotWatermarkBehind", alert_watermark_age_seconds="90x70"),
    "old events, for the workers are behind": Case(
        {'earshot_lag_seconds{partition="0"}': "45x70"},
        2,
        {"EarshotLag"},
        control={"earshot_alert_watermark_age_seconds": "90x70"},
    ),
    "it led, and stands by": of_control(60, alert_watermark_age_seconds="90x70", alert_evaluation_seconds_count="60x70"),
    "rollups behind": Case(
        {}, 10, {"EarshotRollupsBehind"}, control={'earshot_rollup_lag_seconds{quarter="running"}': "90x70"}
    ),
    "rollups of the past behind": Case(
        {}, 10, {"EarshotRollupsBehind"}, control={'earshot_rollup_lag_seconds{quarter="older"}': "30000x70"}
    ),
    "an erasure waits for a part": Case(
        {}, 30, {"EarshotErasureNotHidden"}, control={'earshot_erasures_open{to="hide"}': "1x70"}
    ),
    "nothing is purged": Case({}, 60, {"EarshotErasureLate"}, control={"earshot_erasure_age_seconds": "180000x70"}),
    "rollups catch up with a replay": Case({}, 60, set(), control={'earshot_rollup_lag_seconds{quarter="older"}': "0+60x70"}),
    "late campaigns": of_control(5, "EarshotCampaignsLate", campaign_wait_seconds="700x70"),
    "a slow search for campaigns": of_control(60, campaign_wait_seconds="100+60x7 0x60"),
    "late campaigns, and it stands by": of_control(60, campaign_wait_seconds="700x70", alert_evaluation_seconds_count="60x70"),
    "too many names": of_control(7, "EarshotScopesLeftOut", alert_scopes_left_out_total="0 0+100x70"),
    "unreadable signals": of_control(10, "EarshotSignalsUnreadable", signals_unreadable_total="0x9 1x60"),
    "topic alerts misses some": of_control(10, "EarshotAlertsTopicMisses", alerts_missed_by_topic_total="0x9 1x60"),
    "customers is gone": Case({}, 2, {"EarshotCustomersDown"}, customers={"up": "0x70"}),
    "no customers": Case({}, 5, {"EarshotCustomersMissing"}, customers={"up": "_x70"}),
    "customers in a crash loop": Case(
        {}, 3, {"EarshotCustomersRestarts"}, customers={"process_start_time_seconds": "1000+60x70"}
    ),
    "customers hangs": of_customers(1, "EarshotCustomersNotLive", live="0x70"),
    "customers is not ready": Case(
        {}, 5, {"EarshotCustomersNotReady"}, customers=unready("partitions") | {"earshot_customers_leads": "0x70"}
    ),
    "customers has no database": Case(
        {}, 2, {"EarshotClickHouseAway"}, customers=unready("clickhouse") | {"earshot_live": "0x70"}
    ),
    "nobody leads": of_customers(3, "EarshotCustomersNoLeader", customers_leads="0x70"),
    "another one takes over": of_customers(60, customers_leads="1x10 0x1 1x60"),
    "evidence waits": of_customers(5, "EarshotEvidenceLag", identity_lag_seconds="400x70"),
    "the breaker holds": of_customers(10, "EarshotBreakerHolds", identity_breaker_holds="0x9 1x60"),
    "an old map": Case({"earshot_customers_map_age_seconds": "70x70"}, 2, {"EarshotCustomersMapOld"}),
    "an old map, for there is no database": Case(
        unready("clickhouse") | {"earshot_customers_map_age_seconds": "70x70"}, 2, {"EarshotClickHouseAway"}
    ),
    "unreadable evidence": of_customers(10, "EarshotEvidenceUnreadable", identity_records_unreadable_total="0x9 1x60"),
    "a listener is gone": Case({}, 1, {"EarshotListenerDown"}, listener={"up": "0x70"}),
    "all listeners are gone": Case({}, 16, {"EarshotListenersGone"}, listener={"up": "1x10 stale _x59"}),
    "nobody listens": Case({}, 60, set(), listener={"up": "_x70"}),
    "a listener in a crash loop": Case(
        {}, 3, {"EarshotListenerRestarts"}, listener={"process_start_time_seconds": "1000+60x70"}
    ),
    "a listener hangs": of_listener(1, "EarshotListenerNotLive", live="0x70"),
    "a listener is not ready": Case({}, 5, {"EarshotListenerNotReady"}, listener=unready("partitions")),
    "a listener can't send": Case({}, 5, {"EarshotListenerNotReady"}, listener=unready("other")),
    "a listener has no broker": Case({}, 2, {"EarshotKafkaAway"}, listener=unready("kafka")),
    "broken brands, of a listener": of_listener(1, "EarshotBrandsStale", brands_stale="1x70"),
    "broken sources": of_listener(1, "EarshotSourcesStale", sources_stale="1x70"),
    "a source fails": of_source(10, "EarshotSourceFailing", states={"running": "0x70", "failing": "1x70"}),
    "a source fails, then has no credentials": of_source(
        10, "EarshotSourceFailing", states={"running": "0x70", "failing": "1x5 0x65", "no credentials": "0x5 1x65"}
    ),
    "a source failed, and runs": of_source(60, states={"running": "0x7 1x62", "failing": "1x7 0x62"}),
    "a source waits": of_source(60, states={"running": "0x70", "waiting": "1x70"}, due="60x70"),
    "a source waits for hours": of_source(
        62, "EarshotSourceWaiting", states={"running": "0x70", "waiting": "1x70"}, due="60x70", contact="-3600x70"
    ),
    "a source rests for hours": of_source(60, states={}, due="3600x60 7200x10", contact="-7200x70"),
    "a source stands": of_source(21, "EarshotSourceSilent", states={}, due="60+60x4 300x65"),
    "a source is asked once an hour": of_source(60, states={}, due="3600x60 7200x10"),
    "a source has a gap": of_source(10, "EarshotSourceGap", states={}, gap="_x10 600x60"),
    "the console is gone": Case({}, 2, {"EarshotConsoleDown"}, console={"up": "0x70"}),
    "no console": Case({}, 30, set(), console={"up": "_x70"}),
    "the console is not ready": Case({}, 5, {"EarshotConsoleNotReady"}, console=unready("other")),
    "a source had a gap": of_source(40, states={}, gap="_x10 600x60"),
}


def test_promtool_accepts_the_files() -> None:
    run("promtool", "check", "config", FOLDER / "prometheus.yml")
    run("promtool", "check", "rules", *RULES)


@pytest.mark.slow
def test_each_alert_fires_for_its_cause_alone(tmp_path: Path) -> None:
    assert {alert for case in CASES.values() for alert in case.fires} == set(ALERTS)
    tests = [_promtool_test(name, case) for name, case in CASES.items()]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in RULES], "evaluation_interval": "1m", "tests": tests}))
    run("promtool", "test", "rules", file)


def _promtool_test(name: str, case: Case) -> dict[str, Any]:
    def of(instance: str, values: dict[str, str], job: str = "earshot") -> list[dict[str, str]]:
        label = f'job="{job}",instance="{instance}"'
        named = {key.replace("{", "{" + label + ",") if "{" in key else f"{key}{{{label}}}": v for key, v in values.items()}
        return [{"series": series, "values": values} for series, values in named.items()]

    ill = WELL | case.series
    control = of("c:9401", CONTROL | case.control, "earshot-control")
    customers = of("u:9402", CUSTOMERS | case.customers, "earshot-customers")
    console = of("o:9405", CONSOLE | case.console, "earshot-console")
    listener = of("l:9403", LISTENER | case.listener, "earshot-listen")
    moments = [(case.after + 1, case.fires)] + ([(case.after - 1, case.before)] if case.fires else [])
    return {
        "name": name,
        "interval": "1m",
        "input_series": of("a:9400", ill) + of("b:9400", ill if case.both else WELL) + control + customers + console + listener,
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)],
            }
            for minute, alerts in moments
        ],
    }


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert notes["summary"] and notes["description"]
    page, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == name.lower() and name in headings


def test_rules_name_metrics_that_exist() -> None:
    text = "".join(path.read_text() for path in RULES)
    families = {metric.name: metric.type for metric in metrics.REGISTRY.collect()}
    known = {name for family, kind in families.items() for name in _names(family, kind)}
    records = {rule["record"] for group in yaml.safe_load(RULES[0].read_text())["groups"] for rule in group["rules"]}
    expressions = " ".join(re.findall(r"^ +expr: (.+(?:\n {10,}.+)*)", text, re.MULTILINE))
    used = set(re.findall(r"(?:\w+:)?\b(?:earshot|process)_\w+(?::\w+)?", expressions))
    assert used and used <= known | records, used - known - records
    assert records <= set(re.findall(r"[\w:]+", text))
    assert series(metrics.READ) in known


def _names(family: str, kind: str) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
    return [family + suffix for suffix in suffixes.get(kind, [""])]
