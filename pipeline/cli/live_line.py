"""The live line of `earshot up`, from the metrics of the worker, of control, of customers and of a listener, once a second."""

from __future__ import annotations

import http.client
import time
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from pipeline.listen.states import STATES

Samples = Mapping[tuple[str, str], float]
"""Values by (name, value of label `state`, else of the first label, or ""), summed over further labels."""
NO_LISTENER: Samples = {}
"""In place of the samples of a listener where there are no sources."""


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


@dataclass
class LiveLine:
    """Turns scrapes into the line. Its counts are since the start of `up`, over restarts of the worker."""

    _now: Samples = field(default_factory=dict)
    _gone: dict[str, float] = field(default_factory=dict)
    _at: float = 0.0
    _rate: float = 0.0
    _latency: float | None = None

    def update(
        self,
        samples: Samples | None,
        control: Samples | None = None,
        listener: Samples | None = NO_LISTENER,
        customers: Samples | None = None,
    ) -> str:
        """The line for these scrapes; None: that process did not answer."""
        if samples is None:
            return "waiting for the worker"
        if self._total("earshot_events_read_total", samples) < self._total("earshot_events_read_total", self._now):
            self._keep()  # the worker is another one
        at = time.monotonic()
        landed = self._since(samples, "earshot_events_landed_total")
        seen = self._since(samples, "earshot_kafka_latency_seconds_count")
        if self._at:
            self._rate = landed / (at - self._at)
        if seen > 0:
            self._latency = self._since(samples, "earshot_kafka_latency_seconds_sum") / seen
        self._now, self._at = samples, at
        return self._line(control, listener, customers)

    def _line(self, control: Samples | None, listener: Samples | None, customers: Samples | None) -> str:
        duplicates = self._count("earshot_events_dropped_total", "duplicate")
        counts = {
            "read": self._count("earshot_events_read_total"),
            "landed": self._count("earshot_events_landed_total"),
            "duplicates": duplicates,
            "dropped": self._count("earshot_events_dropped_total") - duplicates,
            "rejected": self._count("earshot_events_rejected_total"),
        }
        parts = [f"{name} {value:,.0f}" for name, value in counts.items()]
        parts += self._labels()
        parts.append(_alerts(control))
        parts.append(_customers(customers))
        parts += _sources(listener)
        parts.append(f"{self._rate:,.0f} events/s")
        parts.append(f"lag {self._count('earshot_lag_records'):,.0f}")
        parts.append("latency " + (f"{self._latency:.2f} s" if self._latency is not None else "-"))
        if not self._now.get(("earshot_ready", "")):
            parts.append("not ready")
        return "  ".join(parts)

    def _labels(self) -> list[str]:
        labelled = self._count("earshot_sentiment_labelled_total")
        negative = self._count("earshot_sentiment_labelled_total", "negative")
        share = f" ({100 * negative / labelled:.0f} % negative)" if labelled else ""
        return [f"labelled {labelled:,.0f}{share}", f"deferred {self._count('earshot_sentiment_deferred_rows'):,.0f}"]

    def _count(self, name: str, label: str | None = None) -> float:
        return self._gone.get(f"{name} {label}", 0.0) + self._total(name, self._now, label)

    def _total(self, name: str, samples: Samples, label: str | None = None) -> float:
        return sum(value for (metric, of), value in samples.items() if metric == name and label in (None, of))

    def _since(self, samples: Samples, name: str) -> float:
        return self._total(name, samples) - self._total(name, self._now)

    def _keep(self) -> None:
        for name in ("read", "landed", "dropped", "rejected"):
            self._gone[f"earshot_events_{name}_total None"] = self._count(f"earshot_events_{name}_total")
        for name, label in (("events_dropped", "duplicate"), ("sentiment_labelled", None), ("sentiment_labelled", "negative")):
            self._gone[f"earshot_{name}_total {label}"] = self._count(f"earshot_{name}_total", label)
        self._now, self._at = {}, 0.0


def _alerts(control: Samples | None) -> str:
    if control is None:
        return "alerts -"
    firing, seen = (control.get(("earshot_alerts_open", state), 0) for state in ("firing", "acknowledged"))
    return f"alerts {firing + seen:,.0f}" + (f" ({seen:,.0f} acknowledged)" if seen else "")


def _customers(customers: Samples | None) -> str:
    """`customers 12 of 31 accounts`: those that have several accounts or CRM records, and how many these are."""
    if customers is None or not customers.get(("earshot_customers_leads", "")):
        return "customers -"
    linked, profiles = (customers.get((f"earshot_customers_{name}", ""), 0) for name in ("linked", "profiles"))
    held = "  links held" if customers.get(("earshot_identity_breaker_holds", "")) else ""
    return f"customers {linked:,.0f} of {profiles:,.0f} accounts{held}"


def _sources(listener: Samples | None) -> list[str]:
    """`sources 3 running, 1 failing`; nothing where there are no sources."""
    if listener is NO_LISTENER:
        return []
    counts = {state: (listener or {}).get(("earshot_source_state", state), 0) for state in STATES}
    return [f"sources {', '.join(f'{count:,.0f} {state}' for state, count in counts.items() if count) or '-'}"]
