"""Reads the /metrics of a process, and from two readings how fast events land."""

from __future__ import annotations

import http.client
import urllib.request
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, str], float]
"""Values by (name, value of label `state`, else of the first label, or ""), summed over further labels."""


def scrape(url: str) -> Samples | None:
    """The metrics at this URL; None while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            text = answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    values: defaultdict[tuple[str, str], float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = sample.labels.get("state", next(iter(sample.labels.values()), ""))
            values[sample.name, label] += sample.value
    return values


def total(samples: Samples, name: str, label: str | None = None) -> float:
    """Of all labels, or of one."""
    return sum(value for (metric, of), value in samples.items() if metric == name and label in (None, of))


class Flow:
    """What a worker's metrics say of the time since they were read before."""

    def __init__(self) -> None:
        self.rate = 0.0
        """Events that land in a second."""
        self.latency: float | None = None
        """Mean seconds from Kafka to the tables; None: nothing has landed since this began."""
        self._before: Samples = {}
        self._at: float | None = None

    def update(self, samples: Samples, at: float) -> None:
        """The next reading, at this time in seconds of any clock that never goes back."""
        if total(samples, "earshot_events_read_total") < total(self._before, "earshot_events_read_total"):
            self._before, self._at = {}, None  # the worker is another one
        if self._at is not None and at > self._at:
            self.rate = self._since(samples, "earshot_events_landed_total") / (at - self._at)
        seen = self._since(samples, "earshot_kafka_latency_seconds_count")
        if seen > 0:
            self.latency = self._since(samples, "earshot_kafka_latency_seconds_sum") / seen
        self._before, self._at = samples, at

    def _since(self, samples: Samples, name: str) -> float:
        return total(samples, name) - total(self._before, name)
