"""Which failed attempts are logged."""

from __future__ import annotations

from pipeline.clock import worth_logging


def test_the_first_attempt_is_logged_then_the_fifth_then_each_thirtieth() -> None:
    assert [attempt for attempt in range(1, 100) if worth_logging(attempt)] == [1, 5, 30, 60, 90]
