"""A real Prometheus on a real worker, control, customers, console and listener: each query of the board has an answer, alerts
fire and clear in an outage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from deploy.grafana.board import queries
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support import topics
from tests.support.beside import repeated
from tests.support.console_process import start_console, visiting
from tests.support.control import start_control
from tests.support.customers_process import start_customers
from tests.support.deploy import program
from tests.support.listener import listening, start_listener, write_sources
from tests.support.load import Generator
from tests.support.prometheus import Prometheus
from tests.support.rss_server import RssServer
from tests.support.worker import Worker, wait_for

ONLY_AT_TIMES = {
    *("Seeding", "Without a label", "From Kafka to a receiver", "Search for campaigns"),
    *("Sources that don't run", "Requests left", "Newest gap", "Cost of sources this month"),
    *("Review queue", "Taking evidence", "Evidence, publishing"),
}
"""Panels that show something only when it happens: partitions that come are seeded, a text has no label, somebody is
notified, a rule looks for campaigns; a source fails, its platform names a limit, bills, has a gap; authors say something
new."""
REBALANCE = {
    *("EarshotWorkerNotReady", "EarshotControlNotReady", "EarshotCustomersNotReady", "EarshotListenerNotReady"),
    *("EarshotPartitionsWithoutOwner", "EarshotCustomersNoLeader"),
}
"""A dead worker's session lasts ten seconds, and these wait for five, as seconds are minutes here."""
RULES = """
rules: [{name: never, type: keyword, words: {any: [nobodysaysthis]}}]
receivers: [{name: chat, type: webhook, url: "https://ops.example/never"}]
"""


def feeding(settings: Settings) -> AbstractContextManager[None]:
    """400 messages a second, good and bad ones, until the block ends."""
    load = Generator(11, int(time.time() * 1000) - 60_000, 100_000)
    return repeated(lambda: topics.produce(settings.kafka, load.take(200)), 0.5, "feed")


@pytest.fixture
def feed() -> Iterator[RssServer]:
    server = RssServer()
    server.world.post(1, time.time() - 60, "a post")
    with server.running():
        yield server


@pytest.mark.timeout(400)
def test_alerts_fire_in_an_outage_and_clear(kafka: Stack, settings: Settings, tmp_path: Path, feed: RssServer) -> None:
    program("prometheus")
    migrate(settings)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    control_settings = settings.control.model_copy(update={"port": free_port()})
    write_sources(tmp_path / "sources.yaml", [{"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s"}])
    settings = settings.model_copy(update={"alerts": rules, "control": control_settings})
    settings = listening(settings, tmp_path / "sources.yaml")
    worker = Worker(settings, tmp_path / "worker.log")
    control = start_control(settings, tmp_path / "control.log")
    customers = start_customers(settings, tmp_path / "customers.log")
    console = start_console(settings, tmp_path / "console.log")
    listener = start_listener(settings, tmp_path / "listener.log")
    try:
        processes = {
            **{"earshot": worker, "earshot-control": control},
            **{"earshot-customers": customers, "earshot-listen": listener},
            "earshot-console": console,
        }
        for process in processes.values():
            process.wait_ready()
        targets = {job: f"127.0.0.1:{process.port}" for job, process in processes.items()}
        with Prometheus(tmp_path, targets) as prometheus, feeding(settings):
            with visiting(console.port):
                _board_has_data(prometheus)
            prometheus.watch(set(), 1, allowed=set())
            _a_source_that_fails(prometheus, feed)
            _an_outage_of_clickhouse(prometheus, kafka)
            _an_outage_of_kafka(prometheus, kafka)
            assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
            worker, control = _a_worker_and_a_control_that_are_killed(prometheus, worker, control, settings)
            for process in (customers, console, listener):
                process.kill()
            # The worker and control of before may still wait for their turn.
            prometheus.watch({"EarshotCustomersDown", "EarshotConsoleDown", "EarshotListenerDown"}, 90, allowed=REBALANCE)
    finally:
        listener.close()
        console.close()
        customers.close()
        worker.close()
        control.close()


def _board_has_data(prometheus: Prometheus) -> None:
    left: dict[str, list[str]] = {}

    def complete() -> bool:
        left.clear()
        for panel, expressions in queries().items():
            filled = [text.replace("$instance", ".*").replace("$__rate_interval", "5s") for text in expressions]
            if (empty := [text for text in filled if not prometheus.values(text)]) and panel not in ONLY_AT_TIMES:
                left[panel] = empty
        return not left

    try:
        wait_for("each panel of the board has data", complete, every=1)
    except AssertionError as error:
        error.add_note(f"without data: {left}")
        raise


def _a_source_that_fails(prometheus: Prometheus, feed: RssServer) -> None:
    feed.faults.kinds, feed.faults.share = ("500",), 1.0
    prometheus.watch({"EarshotSourceFailing"}, 90, allowed=set())
    feed.faults.share = 0.0
    prometheus.watch(set(), 90, allowed={"EarshotSourceFailing"})


def _an_outage_of_clickhouse(prometheus: Prometheus, stack: Stack) -> None:
    expected = {"EarshotClickHouseAway", "EarshotLag"}
    stack.kill("clickhouse")
    try:
        prometheus.watch(expected, 90, allowed=set())
        for alert in prometheus.alerts():
            assert "error" not in alert["annotations"]["summary"] + alert["annotations"]["description"], alert
            assert alert["annotations"]["runbook_url"].startswith("docs/sre.md#"), alert
        wait_for("what comes is counted", lambda: sum(prometheus.values("earshot_lag_records")) > 1_000, every=0.5)
    finally:
        stack.restart("clickhouse")
    prometheus.watch(set(), 90, allowed=expected)


def _an_outage_of_kafka(prometheus: Prometheus, stack: Stack) -> None:
    stack.kill("kafka")
    try:
        prometheus.watch({"EarshotKafkaAway"}, 90, allowed=set())
    finally:
        stack.restart("kafka")
    prometheus.watch(set(), 90, allowed={"EarshotKafkaAway", *REBALANCE})


def _a_worker_and_a_control_that_are_killed(
    prometheus: Prometheus, worker: Worker, control: Worker, settings: Settings
) -> tuple[Worker, Worker]:
    """Groups may still form anew, after the outage of Kafka."""
    down = {"EarshotWorkerDown", "EarshotControlDown"}
    worker.kill()
    control.kill()
    prometheus.watch(down, 90, allowed=REBALANCE)
    worker = Worker(settings, worker.log.with_name("next.log"), port=worker.port)
    control = start_control(settings, control.log.with_name("next control.log"))
    prometheus.watch(set(), 90, allowed=down | REBALANCE)
    wait_for("it lands again", lambda: sum(prometheus.values("earshot_events_landed_total")) > 0)
    return worker, control
