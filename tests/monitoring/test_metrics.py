"""Metrics: what their labels may hold, and what lag says while things come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from pipeline.batch import Origin
from pipeline.monitoring import console_metrics, identity_metrics, metrics, source_metrics
from pipeline.monitoring.column_histogram import ColumnHistogram
from pipeline.monitoring.declare import DECLARED
from pipeline.monitoring.health import Vitals
from pipeline.monitoring.reject_reasons import CLASSES, reason_class
from pipeline.rollups.tables import load_rollups
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.worker.lag import Lag
from schemas.alerts import State
from tests.support.bad_records import BAD

EXPECTED = {
    "tombstone": "empty",
    "white space": "empty",
    "not JSON": "json",
    "cut off": "json",
    "two objects": "json",
    "broken encoding": "json",
    "an array": "type",
    "null": "type",
    "overflow": "type",
    "id is null": "missing",
    "no created_at": "missing",
    "unknown kind": "value",
    "bad platform": "value",
    "year 1": "time",
    "not a time": "time",
}


@pytest.mark.parametrize("name", BAD)
def test_a_reason_has_a_class(name: str) -> None:
    (refused,) = Decode().process(batch_of([BAD[name][0]])).rejected
    found = reason_class(refused.step, refused.reason)
    assert found in CLASSES and found != "other", refused.reason
    assert found == EXPECTED.get(name, found), refused.reason


@pytest.mark.parametrize("reason", ["", "Cannot parse 'jane@example.com' as Int64", "expected", "jane is missing in"])
def test_what_is_not_known_is_other(reason: str) -> None:
    assert reason_class("decode", reason) == "other"
    assert reason_class("clickhouse", reason) == "refused"
    assert reason_class("kafka", reason) == "unreadable"


def test_a_column_is_observed_as_its_values_one_by_one() -> None:
    registry = CollectorRegistry()
    whole = ColumnHistogram("whole", "whole", (0.1, 0.5, 1), registry)
    single = Histogram("single", "single", buckets=(0.1, 0.5, 1), registry=registry)
    values = np.array([0.05, 0.1, 0.10001, 0.5, 0.9, 1.0, 7.0, -1.0])
    whole.observe_all(values[:3])
    whole.observe_all(values[3:])
    whole.observe_all(values[:0])
    for value in values:
        single.observe(value)
    bounds = ("0.1", "0.5", "1.0", "+Inf")
    for found, wanted in ((registry.get_sample_value(f"{n}_bucket", {"le": le}) for n in ("whole", "single")) for le in bounds):
        assert found == wanted
    assert registry.get_sample_value("whole_sum") == pytest.approx(registry.get_sample_value("single_sum"))
    assert registry.get_sample_value("whole_count") == registry.get_sample_value("single_count") == len(values)


def test_a_renamed_metric_has_its_old_name_for_a_release() -> None:
    metrics.NOTES.labels("of this test").inc(3)
    metrics.STEP_WAIT_SECONDS.labels("of this test").observe(0.004)
    value = metrics.REGISTRY.get_sample_value
    for name in ("earshot_notes_total", "earshot_event_notes_total"):
        assert value(name, {"note": "of this test"}) == 3
    for name in ("earshot_hand_over_seconds", "earshot_step_wait_seconds"):
        assert value(f"{name}_bucket", {"step": "of this test", "le": "0.005"}) == 1
        assert value(f"{name}_sum", {"step": "of this test"}) == 0.004
    text = generate_latest(metrics.REGISTRY).decode()
    for old, metric in metrics.OLD_NAMES.items():
        (family,) = metric.describe()
        assert f"# HELP {old}{'_total' if family.type == 'counter' else ''} Renamed: use {family.name}. " in text


def test_a_cause_names_no_topic_and_no_database() -> None:
    vitals = Vitals()
    for what in ("partitions", "clickhouse (landing)", "dead letters", "social.events[3]", "something new"):
        vitals.hold(what, "why")
    vitals.measure()
    causes = {cause: metrics.REGISTRY.get_sample_value("earshot_unready", {"cause": cause}) for cause in metrics.CAUSES}
    others = {"kafka": 0, "signals": 0, "evidence": 0}
    assert causes == {"partitions": 1, "clickhouse": 1, "dead_letters": 1, "held": 1, "other": 1} | others
    assert metrics.REGISTRY.get_sample_value("earshot_ready") == 0


OF_CONTROL = {
    *(metrics.ALERT_CHANGES, metrics.ALERT_DELIVERIES, metrics.ALERT_SECONDS),
    *(metrics.ROLLUP_SECONDS, metrics.ROLLUPS_FAILED, metrics.ROLES_RELOADS),
}
"""Counters with labels that only control has: their first samples are from `start_control`."""


def test_what_control_counts_starts_at_zero() -> None:
    for metric in OF_CONTROL:
        metric.clear()
    metrics.start_control(["new in this test"])
    assert [metric for metric in OF_CONTROL if not any(family.samples for family in metric.collect())] == []
    for result in ("sent", "failed", "refused"):
        labels = {"receiver": "new in this test", "result": result}
        assert metrics.REGISTRY.get_sample_value("earshot_alert_deliveries_total", labels) == 0
    for path in ("single", "windowed"):
        assert metrics.REGISTRY.get_sample_value("earshot_alert_seconds_count", {"path": path}) is not None
    assert tuple(rollup.name for rollup in load_rollups(None, None)) == metrics.ROLLUPS
    for state in State:
        assert metrics.REGISTRY.get_sample_value("earshot_alerts_changes_total", {"state": state}) is not None


OF_CUSTOMERS = {identity_metrics.MOVES, identity_metrics.COMMANDS}


def test_what_customers_counts_starts_at_zero() -> None:
    for metric in OF_CUSTOMERS:
        metric.clear()
    identity_metrics.start()
    value = metrics.REGISTRY.get_sample_value
    assert [value("earshot_identity_moves_total", {"cause": cause}) for cause in identity_metrics.CAUSES] == [0] * 5
    assert [value("earshot_identity_commands_total", {"result": result}) for result in ("done", "refused")] == [0, 0]
    identity_metrics.LEADS.set(1)
    identity_metrics.REFUSED.labels("held").set(7)
    identity_metrics.rest()
    assert value("earshot_customers_leads") == value("earshot_identity_refused", {"reason": "held"}) == 0


OF_CONSOLE = {console_metrics.ANSWERS, console_metrics.LOGIN}


def test_what_the_console_counts_starts_at_zero() -> None:
    for metric in OF_CONSOLE:
        metric.clear()
    console_metrics.start()
    value = metrics.REGISTRY.get_sample_value
    assert [value("earshot_console_logins_total", {"result": result}) for result in console_metrics.LOGINS] == [0] * 3
    assert [value("earshot_console_answers_total", {"status": status}) for status in console_metrics.CLASSES] == [0] * 4


OF_LISTENERS = {each for each in vars(source_metrics).values() if isinstance(each, Counter)}


def test_what_a_listener_counts_of_a_source_starts_at_zero() -> None:
    for metric in OF_LISTENERS:
        metric.clear()
    source_metrics.begin("blog")
    assert [metric for metric in OF_LISTENERS if not any(family.samples for family in metric.collect())] == []


NOT_KNOWN_BEFORE: set[Counter | Histogram] = set()
"""Those whose labels come with the first event."""


def test_what_a_worker_counts_starts_at_zero() -> None:
    labelled = [each for each, labels in DECLARED if labels and isinstance(each, Counter | Histogram)]
    for metric in labelled:
        metric.clear()
    metrics.start(["decode"])
    empty = {metric for metric in labelled if not any(family.samples for family in metric.collect())}
    assert empty == OF_CONTROL | OF_CUSTOMERS | OF_CONSOLE | OF_LISTENERS | {source_metrics.RELOADS.changes} | NOT_KNOWN_BEFORE


def test_a_receiver_whose_task_has_ended_is_another_cause() -> None:
    vitals = Vitals()
    vitals.hold("receiver chat", "its deliveries have ended by an error: see the log")
    vitals.measure()
    assert metrics.REGISTRY.get_sample_value("earshot_unready", {"cause": "other"}) == 1


class Moving:
    """A clock that the test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Moving:
    return Moving()


@pytest.fixture
def lag(clock: Moving) -> Lag:
    metrics.LAG_RECORDS.clear()
    metrics.LAG_SECONDS.clear()
    lag = Lag(clock)
    lag.own({3})
    return lag


def seconds(partition: int = 3) -> float | None:
    return metrics.REGISTRY.get_sample_value("earshot_lag_seconds", {"partition": str(partition)})


def records(partition: int = 3) -> float | None:
    return metrics.REGISTRY.get_sample_value("earshot_lag_records", {"partition": str(partition)})


def origin(first: int, last: int, first_s: float, last_s: float, partition: int = 3) -> Origin:
    return Origin("t", partition, first, last, int(first_s * 1000), int(last_s * 1000))


def stats(end: int, state: str = "UP", rxidle: int = 1_000, following: int | None = None) -> dict[str, Any]:
    """What librdkafka says of partition 3 and of the broker that leads it."""
    partition = {
        "leader": 1, "ls_offset": end, "lo_offset": 10, "fetchq_cnt": 0, "next_offset": end if following is None else following,
    }  # fmt: skip
    return {
        "brokers": {"b": {"nodeid": 1, "state": state, "rxidle": rxidle}},
        "topics": {"t": {"partitions": {"3": partition, "4": partition, "-1": partition}}},
    }


def test_lag_is_unknown_before_anything_is_known(lag: Lag) -> None:
    assert seconds() is None and records() is None
    lag.statistics({"brokers": {}, "topics": {}}, "t")
    assert seconds() is None and records() is None


def test_lag_counts_from_the_last_record_that_landed(lag: Lag, clock: Moving) -> None:
    lag.read([origin(10, 19, 900, 950)])
    assert seconds() == 100
    lag.landed([origin(10, 19, 900, 950)])
    assert seconds() == 50
    clock.now += 30
    assert seconds() == 80
    lag.statistics(stats(end=50, following=30), "t")
    assert (seconds(), records()) == (80, 30)


def test_lag_grows_while_the_broker_is_away_however_much_was_read(lag: Lag, clock: Moving) -> None:
    lag.read([origin(10, 19, 900, 950)])
    lag.landed([origin(10, 19, 900, 950)])
    lag.statistics(stats(end=20), "t")
    assert (seconds(), records()) == (0, 0)
    for state, idle in (("DOWN", 1_000), ("UP", 9_000_000)):
        clock.now += 60
        lag.statistics(stats(end=20, state=state, rxidle=idle), "t")
    assert seconds() == 120


def test_a_topic_without_a_commit_is_behind_by_all_that_it_holds(lag: Lag) -> None:
    lag.statistics(stats(end=50, following=10), "t")
    assert records() == 40
    assert metrics.REGISTRY.get_sample_value("earshot_topic_partitions") == 2


def test_a_partition_is_behind_from_its_committed_offset_on_before_anything_is_read(lag: Lag) -> None:
    lag.starts(3, 40)
    lag.statistics(stats(end=-1001, following=-1001), "t")
    assert records() is None
    lag.ends({3: 55, 4: 99})
    lag.statistics(stats(end=-1001, following=-1001), "t")
    assert (records(), seconds()) == (15, None)


def test_what_comes_while_the_consumer_is_paused_counts(lag: Lag) -> None:
    lag.read([origin(10, 19, 900, 950)])
    lag.landed([origin(10, 19, 900, 950)])
    lag.ends({3: 500})
    lag.statistics(stats(end=20), "t")
    assert (seconds(), records()) == (50, 480)


def test_the_marker_of_a_transaction_is_no_lag(lag: Lag) -> None:
    lag.read([origin(10, 18, 900, 950)])
    lag.statistics(stats(end=20), "t")
    assert records() == 10
    lag.landed([origin(10, 18, 900, 950)])
    lag.statistics(stats(end=20), "t")
    assert (seconds(), records()) == (0, 0)


def test_a_partition_that_left_has_no_lag(lag: Lag) -> None:
    lag.read([origin(10, 19, 900, 950)])
    lag.statistics(stats(end=20, following=15), "t")
    assert seconds() == 100 and records() == 10
    lag.own({4})
    lag.landed([origin(10, 19, 900, 950)])
    assert seconds() is None and records() is None
    lag.own({3, 4})
    assert seconds() is None
