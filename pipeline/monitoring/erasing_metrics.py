"""The metrics of erasures, by the leading control."""

from __future__ import annotations

from pipeline.monitoring.declare import counter, gauge

STATES = ("hide", "purge")
OPEN = gauge("erasures_open", "Erasures of which something is still to be hidden, or to be removed from the files", "to")
AGE = gauge("erasure_age_seconds", "How long ago the oldest erasure was asked for that is not purged; 0: all are")
CAUGHT = counter("erased_rows_caught", "Rows of persons who were erased that came all the same, and were hidden again")
FAILED = counter("erasures_failed", "Times that control could not hide or purge: it tries again")


def start() -> None:
    """First samples of a control that does not lead yet."""
    AGE.set(0)
    for state in STATES:
        OPEN.labels(state).set(0)
