"""Records that once stopped a worker for ever lie among good ones, and workers are killed: all good ones land, nothing stands.

Their short form is in tests/integration/test_bad_input.py.
"""

from __future__ import annotations

import random

import pytest

from tests.support.harness import ONLY_LONG, Run, Size, kill_rounds
from tests.support.load import Poisoned

NAMES, HUGE = 1_000, 50


@pytest.fixture
def size(form: str) -> Size:
    """It has the long form alone."""
    return Size(events=100_000 + NAMES + HUGE, kills=10, in_flight=0, outages=0, pause_s=0)


@pytest.fixture
def poisoned(run: Run) -> Run:
    run.load = Poisoned(run.load.seed, run.load.start_ms, run.load.total).mix(NAMES, HUGE)
    return run


@ONLY_LONG
@pytest.mark.parametrize("workers", [1, 2])
def test_poison_stops_no_worker(poisoned: Run, size: Size, rng: random.Random, workers: int) -> None:
    kill_rounds(poisoned, size.events, size.kills, rng, workers=workers)
    poisoned.finish()
