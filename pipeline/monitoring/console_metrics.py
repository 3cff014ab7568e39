"""The metrics of the console."""

from __future__ import annotations

from pipeline.monitoring.declare import counter, histogram
from pipeline.monitoring.metrics import say_version

CLASSES = ("2xx", "3xx", "4xx", "5xx")
LOGINS = ("done", "refused", "slowed")
_TIMES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10)
ANSWERS = counter(
    "console_answers", "Answers of the console, by class of their status; without health and static files", "status"
)
SECONDS = histogram("console_answer_seconds", "Time from the head of a request until its answer begins", _TIMES)
LOGIN = counter("console_logins", "Logins, by result: done, refused, slowed (too many tries: not looked at)", "result")


def start() -> None:
    """Gives every label of the console that is known beforehand its first sample: 0."""
    say_version()
    for status in CLASSES:
        ANSWERS.labels(status)
    for result in LOGINS:
        LOGIN.labels(result)
