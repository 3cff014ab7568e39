"""The live line of `earshot up`, from the metrics of the worker, of control, of customers and of a listener, once a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pipeline.listen.states import STATES
from pipeline.monitoring.scrape import Flow, Samples, total

NO_LISTENER: Samples = {}
"""In place of the samples of a listener where there are no sources."""


@dataclass
class LiveLine:
    """Turns scrapes into the line. Its counts are since the start of `up`, over restarts of the worker."""

    _now: Samples = field(default_factory=dict)
    _gone: dict[str, float] = field(default_factory=dict)
    _flow: Flow = field(default_factory=Flow)

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
        if total(samples, "earshot_events_read_total") < total(self._now, "earshot_events_read_total"):
            self._keep()  # the worker is another one
        self._flow.update(samples, time.monotonic())
        self._now = samples
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
        parts.append(f"{self._flow.rate:,.0f} events/s")
        parts.append(f"lag {self._count('earshot_lag_records'):,.0f}")
        parts.append("latency " + (f"{self._flow.latency:.2f} s" if self._flow.latency is not None else "-"))
        if not self._now.get(("earshot_ready", "")):
            parts.append("not ready")
        return "  ".join(parts)

    def _labels(self) -> list[str]:
        labelled = self._count("earshot_sentiment_labelled_total")
        negative = self._count("earshot_sentiment_labelled_total", "negative")
        share = f" ({100 * negative / labelled:.0f} % negative)" if labelled else ""
        return [f"labelled {labelled:,.0f}{share}", f"deferred {self._count('earshot_sentiment_deferred_rows'):,.0f}"]

    def _count(self, name: str, label: str | None = None) -> float:
        return self._gone.get(f"{name} {label}", 0.0) + total(self._now, name, label)

    def _keep(self) -> None:
        for name in ("read", "landed", "dropped", "rejected"):
            self._gone[f"earshot_events_{name}_total None"] = self._count(f"earshot_events_{name}_total")
        for name, label in (("events_dropped", "duplicate"), ("sentiment_labelled", None), ("sentiment_labelled", "negative")):
            self._gone[f"earshot_{name}_total {label}"] = self._count(f"earshot_{name}_total", label)
        self._now = {}


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
