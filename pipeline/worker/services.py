"""Services: the threads beside the hot path, for as long as the worker runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.kafka.client import kafka_admin
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals, memory_limit, serve
from pipeline.monitoring.table_metrics import keep_asking
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.sentiment.deferred import DeferredLabeller
from pipeline.worker.customers import Following
from pipeline.worker.lag import Lag, keep_asking_ends
from pipeline.worker.matching import Matching


class Services:
    """Health server, questions to ClickHouse and Kafka that no batch asks, files that may change, customers, deferred
    labels."""

    def __init__(
        self,
        settings: Settings,
        vitals: Vitals,
        lag: Lag,
        matching: Matching,
        customers: Following,
        deferred: DeferredLabeller | None,
    ) -> None:
        self._settings, self._vitals, self._lag = settings, vitals, lag
        self._matching, self._customers, self._deferred = matching, customers, deferred

    @contextmanager
    def running(self, fail: Callable[[BaseException], None]) -> Iterator[None]:
        """Runs them meanwhile; a fatal error is passed to `fail`. Raises StackError when the health server's port is taken,
        EarshotError when ClickHouse does not say who the customers are."""
        settings, work = self._settings, self._settings.worker
        keep_asking(clickhouse_client(settings.clickhouse, timeout_s=5), self._vitals)
        keep_asking_ends(kafka_admin(settings.kafka), settings.kafka.topic("events"), self._lag)
        self._matching.keep_checking()
        self._customers.start()
        metrics.MEMORY_LIMIT.set(memory_limit())
        stop_health = serve(self._vitals, work.health_host, work.health_port)
        if self._deferred:
            self._deferred.start(fail)
        try:
            yield
        finally:
            if self._deferred:
                self._deferred.stop()
            stop_health()


def show_memory(index: RevisionIndex, completion: Completion, dropped: KeySet | None) -> None:
    """Each scrape of /metrics reads how much the steps hold."""
    metrics.WAITING.labels("memory").set_function(lambda: completion.held.in_memory)
    metrics.WAITING.labels("table").set_function(lambda: completion.held.beyond)
    metrics.DEDUP_BYTES.set_function(index.nbytes)
    metrics.DROPPED_BYTES.set_function(dropped.nbytes if dropped else lambda: 0)
