"""What the worker's log says of what lands."""

from __future__ import annotations

import logging

import pytest

from pipeline.worker.flow import Landings


def test_what_lands_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "earshot.delivery")
    now = 0.0
    landings = Landings(lambda: now)
    for tick in range(1, 1501):  # ten batches a second for two and a half minutes
        now = tick / 10
        landings.add(20)
    now = 1000.0
    landings.add(5)
    assert caplog.messages == [
        "12000 rows in 600 batches have landed in 60 s",
        "12000 rows in 600 batches have landed in 60 s",
        "6005 rows in 301 batches have landed in 880 s",
    ]
