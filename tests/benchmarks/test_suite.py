"""The benchmark suite: names that others read, the form of bench.json, a measurement that fails, and a tiny run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import end_to_end, large, peers, report, suite, visible
from benchmarks.environments import APPS, version_of
from benchmarks.ground import Ground
from benchmarks.report import Figure
from benchmarks.suite import MEASUREMENTS, Measurement, Sizes
from pipeline.embedded.stack import Stack

STABLE = """
steps.hot_path steps.hot_path_cpu steps.hot_path_5000 steps.hot_path_5000_cpu
steps.decode steps.decode_cpu steps.dedup steps.dedup_cpu steps.mentions steps.mentions_cpu
steps.mentions_5000 steps.mentions_5000_cpu steps.completion steps.completion_cpu
steps.identity steps.identity_cpu steps.shape steps.shape_cpu
end_to_end.throughput
end_to_end.cpu_total end_to_end.cpu_worker end_to_end.cpu_kafka end_to_end.cpu_clickhouse end_to_end.cpu_owed
large.throughput large.mb_per_s large.per_core large.mb_per_core
end_to_end.visible_p50_ms end_to_end.visible_p99_ms end_to_end.visible_max_ms
cost.idle_cores cost.cores_100 cost.cores_1000
worker.rss_mb worker.rss_growth_mb
failover.median_s failover.worst_s
dedup.bytes_per_key scaling.keys_ratio scaling.keys_few scaling.keys_many
scaling.partitions_ratio scaling.partitions_1 scaling.partitions_64
sentiment.transformers_accurate sentiment.torch_accurate sentiment.accurate sentiment.fast
sentiment.engine_ratio sentiment.fast_ratio sentiment.reposts_ratio sentiment.cache_ratio
sentiment.visible_p99_ms sentiment.labelled sentiment.deferred sentiment.all_labelled_s sentiment.throughput_ratio
alerts.single_p50_ms alerts.single_p99_ms alerts.windowed_p50_ms alerts.windowed_p99_ms
alerts.control_cores alerts.clickhouse_cores alerts.clickhouse_share
alerts.campaign_found alerts.campaign_p50_s alerts.campaign_s alerts.campaign_cores
end_to_end.throughput_full end_to_end.visible_p99_full_ms
reconcile.seconds reconcile.rss_mb reconcile.clickhouse_mb reconcile.again_seconds
reconcile.visible_p99_ms reconcile.visible_without_p99_ms
listen.map_rate listen.feed_rate listen.mail_rate listen.visible_p50_ms listen.visible_p99_ms listen.feeds_cores listen.feeds_mb
listen.mixed_cores listen.mixed_mb
identity.lookups identity.bytes_per_account identity.hot_path_ratio identity.insert_cpu
identity.ready_s identity.ready_mb
identity.relink_s identity.relink_group_by_s identity.relink_stream_s identity.timeline_ms
identity.import_s identity.import_alerts_p99_ms
queries.worst_median_ms queries.worst_p95_ms queries.years_median_ms queries.bytes_per_row
rollups.lag_s rollups.share rollups.alerts_p99_ratio rollups.visible_p99_ratio
console.page_p95_ms console.first_page_kb console.first_paint_ms console.alert_p99_ms
console.streams_cores console.streams_mb
privacy.hide_s privacy.purge_s privacy.purge_p99_ratio
peers.earshot
peers.faust_ratio peers.faust peers.faust_documented_ratio peers.faust_documented
peers.quix_ratio peers.quix peers.quix_documented_ratio peers.quix_documented
peers.bytewax_ratio peers.bytewax peers.bytewax_documented_ratio peers.bytewax_documented
"""
NAMES = STABLE.split()
TINY = Sizes(
    events=6_000, passes=1, standard=5_000, topic=5_000, runs=1, latency_rate=200, latency_seconds=3,
    memory=5_000, kills=1, keys=(60_000, 90_000),
    peers=peers.Counts(1_000, 1_000, 1_000), texts=60, rows=20_000, accounts=21_000, posts=400_000,
    interactions=20_000, searched=12_000,
)  # fmt: skip


def test_the_names_are_stable() -> None:
    assert [name for measurement in MEASUREMENTS for name in measurement.names] == NAMES
    assert set(report.GOALS) <= set(NAMES)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ([], NAMES),
        (["steps.hot_path"], [name for name in NAMES if name.startswith("steps.hot_path")]),
        (["worker", "*.faust_ratio"], [name for name in NAMES if name.startswith(("worker.", "peers."))]),
        (["nothing"], []),
    ],
)
def test_figures_are_chosen_by_name(patterns: list[str], found: list[str]) -> None:
    assert [name for measurement in suite.chosen(patterns) for name in measurement.names] == found


def test_the_file_has_machine_versions_and_figures(tmp_path: Path) -> None:
    figure = Figure("steps.decode", 250_000.5, "events/s", "alone")
    report.write(tmp_path / "build" / "bench.json", [figure])
    written = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert written["figures"] == [{"name": "steps.decode", "value": 250_000.5, "unit": "events/s", "conditions": "alone"}]
    assert set(written) == {"machine", "versions", "figures"}
    assert written["machine"].keys() == {"system", "processor", "cores", "memory_gb"}
    assert {"python", "polars", "chdb"} <= written["versions"].keys()


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("end_to_end.visible_p50_ms", 299.0, True),
        ("end_to_end.visible_p50_ms", 300.0, False),
        ("peers.quix_ratio", 1.8, True),
        ("peers.quix_ratio", 1.7, False),
        ("dedup.bytes_per_key", 16.0, True),
        ("steps.decode", 0.0, True),
    ],
)
def test_a_figure_knows_whether_its_goal_is_met(name: str, value: float, met: bool) -> None:
    assert Figure(name, value, "", "").met is met


def test_a_measurement_that_fails_costs_only_its_own_figures(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(sizes: Sizes) -> Iterator[Figure]:
        yield Figure("a.first", 1, "", "")
        raise RuntimeError("the broker is away")

    def works(sizes: Sizes) -> Iterator[Figure]:
        yield Figure("b.only", 2, "", "")

    figures = suite.run([Measurement(("a.first", "a.second"), 1, fails), Measurement(("b.only",), 1, works)], TINY)
    assert [figure.name for figure in figures] == ["a.first", "b.only"]
    assert "the broker is away" in capsys.readouterr().out


def test_a_tiny_run_yields_what_it_announces(kafka: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, throughput and latency for real: a worker on the tests' Apache Kafka and ClickHouse, a few thousand events."""
    stage = Ground(kafka, tmp_path, "off")
    for module in (end_to_end, large, visible):
        monkeypatch.setattr(module, "ground", lambda: nullcontext(stage))
    monkeypatch.setattr(visible, "WARM_UP_EVENTS", 5_000)
    chosen = suite.chosen(
        ["steps", "large", "end_to_end.cpu", "end_to_end.visible_p50", "identity.lookups", "identity.hot_path"]
    )
    figures = [figure for measurement in chosen for figure in measurement.run(TINY)]
    assert {figure.name for figure in figures} == {name for measurement in chosen for name in measurement.names}
    assert all(figure.value > 0 and figure.conditions for figure in figures)


@pytest.mark.parametrize("peer", peers.PEERS)
def test_peers_are_pinned(peer: str) -> None:
    lines = (APPS / f"{peer}.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines)
    assert version_of(peer).split()[0] in ("faust-streaming", "quixstreams", "bytewax")
    assert all((APPS / f"{form}_{peer}.py").exists() for form in peers.FORMS)
