"""A histogram that observes a whole column at once: prometheus_client's own takes one value a call."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class ColumnHistogram(Collector):
    """A histogram without labels; `buckets` are upper bounds, rising. Threads may share it. Restart: it is empty."""

    def __init__(self, name: str, meaning: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._meaning = name, meaning
        self._bounds = np.array([*buckets, np.inf])
        self._counts = np.zeros(len(self._bounds), np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe_all(self, values: npt.NDArray[np.float64]) -> None:
        """Adds every value of the column."""
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds))
        total = float(values.sum())
        with self._lock:
            self._counts += counts
            self._sum += total

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Name, type and meaning, without samples."""
        return [HistogramMetricFamily(self._name, self._meaning)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The samples, as a scrape gets them."""
        with self._lock:
            cumulative, total = np.cumsum(self._counts), self._sum
        buckets = [(_le(bound), float(count)) for bound, count in zip(self._bounds, cumulative, strict=True)]
        return [HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=total)]


def _le(bound: float) -> str:
    """The label `le` of a bucket."""
    return "+Inf" if bound == np.inf else str(float(bound))
