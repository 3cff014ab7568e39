"""The metrics of a listener's sources. The label `source` is the name that sources.yaml gives it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import Gauge

from pipeline.monitoring.declare import counter, gauge
from pipeline.monitoring.metrics import Reloads, say_version
from schemas.events import OPERATIONS

RESULTS = ("ok", "failed", "limited", "refused")
STATE = gauge("source_state", "1: the source is in this state", "source", "platform", "state")
CONTACT = gauge("source_contact_timestamp_seconds", "When the platform last answered or sent a sign, since 1970", "source")
DUE = gauge("source_due_timestamp_seconds", "When its next poll is due, or its stream last gave a sign, since 1970", "source")
EVENT = gauge("source_event_timestamp_seconds", "When the newest event of the source was created, since 1970", "source")
LAG = gauge("source_lag_seconds", "How long after its creation the newest event was sent", "source")
EVENTS = counter("source_events", "Events sent, by operation", "source", "operation")
NOT_KEPT = counter("source_events_not_kept", "Events that mention no tracked brand, where keep is mentions", "source")
LEFT_OUT = counter("source_left_out", "Parts of payloads that are not mapped", "source")
UNREADABLE = counter("source_payloads_unreadable", "Payloads of another shape than the platform's mapper knows", "source")
REFUSED = counter("source_events_refused", "Events that Kafka never takes, as they are too large", "source")
REQUESTS = counter("source_requests", "Requests, by result: ok, failed, limited, refused", "source", "result")
BUDGET = gauge("source_budget_left", "Requests left in the platform's window, where it says so", "source")
COST = gauge("source_cost", "What the source cost this month, in the platform's currency", "source")
COST_LEFT = gauge("source_cost_left", "What is left of the month's sum (key spend)", "source")
COST_PACE = gauge("source_cost_pace", "What this month will cost, if it goes on as so far", "source")
ERRORS = counter("source_errors", "Times that the source failed, waited or had no credentials", "source", "state")
GAPS = counter("source_gaps", "Gaps: what the platform could not give any more", "source")
GAP = gauge("source_gap_timestamp_seconds", "When this listener last found a gap, since 1970", "source")
RELOADS = Reloads(
    "sources",
    counter("sources_reloads", "Reloads of sources.yaml, by result", "result"),
    gauge("sources_stale", "1: the changed sources.yaml is broken, and the version before stays active"),
)


def start() -> None:
    """Gives every label of a listener that is known beforehand its first sample: 0."""
    say_version()
    for result in ("ok", "failed"):
        RELOADS.changes.labels(result)


def begin(source: str) -> None:
    """Gives every label of a source that is known beforehand its first sample: 0."""
    for operation in OPERATIONS:
        EVENTS.labels(source, operation)
    for result in RESULTS:
        REQUESTS.labels(source, result)
    for state in ("waiting", "failing", "no credentials"):
        ERRORS.labels(source, state)
    for metric in (NOT_KEPT, LEFT_OUT, UNREADABLE, REFUSED, GAPS):
        metric.labels(source)


def forget(source: str, platform: str, states: Iterable[str]) -> None:
    """Removes the gauges of a source that this listener runs no longer; its counters and its newest gap stay."""
    gone: list[tuple[Gauge, tuple[str, ...]]] = [(STATE, (source, platform, state)) for state in states]
    gone += [(metric, (source,)) for metric in (CONTACT, DUE, EVENT, LAG, BUDGET, COST, COST_LEFT, COST_PACE)]
    for metric, labels in gone:
        with suppress(KeyError):  # nothing came
            metric.remove(*labels)
