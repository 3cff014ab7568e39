"""How metrics are declared: each once, with its name, unit and meaning. metrics.py, console_metrics.py,
identity_metrics.py and source_metrics.py list them."""

from __future__ import annotations

from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, disable_created_metrics

from pipeline.monitoring.column_histogram import ColumnHistogram

# A series more for each counter, which Prometheus has no use for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it lacks its `-> None`
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


Metric = Counter | Gauge | Histogram | Info | ColumnHistogram
AnyMetric = TypeVar("AnyMetric", bound=Metric)
DECLARED: list[tuple[Metric, tuple[str, ...]]] = []
"""Every metric with the names of its labels, in the order of its module."""


def declared(metric: AnyMetric, labels: tuple[str, ...] = ()) -> AnyMetric:
    """Takes in a metric that none of the functions below makes."""
    DECLARED.append((metric, labels))
    return metric


def counter(name: str, meaning: str, *labels: str) -> Counter:
    """`earshot_NAME_total`."""
    return declared(Counter(f"earshot_{name}", meaning, labels, registry=REGISTRY), labels)


def gauge(name: str, meaning: str, *labels: str) -> Gauge:
    """`earshot_NAME`."""
    return declared(Gauge(f"earshot_{name}", meaning, labels, registry=REGISTRY), labels)


def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    """`earshot_NAME` with these buckets."""
    return declared(Histogram(f"earshot_{name}", meaning, labels, buckets=buckets, registry=REGISTRY), labels)


def column_histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> ColumnHistogram:
    """The same, filled by columns."""
    return declared(ColumnHistogram(f"earshot_{name}", meaning, buckets, REGISTRY))
