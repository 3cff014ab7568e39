"""Workers that label slowly are killed: each labelled row has exactly one label, nothing stays deferred, and the rollups
are those that are computed anew."""

from __future__ import annotations

import random
import signal
from functools import partial

import pytest

from tests.support import labels
from tests.support.harness import ONLY_LONG, Run, Size, kill_rounds
from tests.support.worker import wait_for


@pytest.fixture
def batch_rows() -> int:
    return 500


@pytest.fixture
def labelling(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose workers read some 3,000 texts a second: less than they land."""
    monkeypatch.setenv(labels.DELAY, "0.0002")
    run.command, run.labelled = ("-m", "tests.support.labels"), True
    return run


def test_a_worker_that_labels_is_killed(labelling: Run, size: Size, rng: random.Random) -> None:
    labelling.start_control()
    in_flight = kill_rounds(labelling, size.events, size.kills, rng)
    labelling.finish()
    assert in_flight >= size.in_flight


def _deferred_at_most(run: Run, bound: float) -> bool:
    return labels.deferred(run.settings) <= bound


@ONLY_LONG
def test_workers_are_killed_while_they_label_what_was_deferred(labelling: Run, size: Size, rng: random.Random) -> None:
    """All has landed; two workers share what waits, and one of them is killed at a time."""
    for _ in range(2):
        labelling.start_worker().wait_ready()
    labelling.produce(size.events // 3)
    wait_for("all has landed", labelling.all_committed, 180)
    left = labels.deferred(labelling.settings)
    assert left, "the model was too fast for this test"
    for _ in range(size.kills):
        victim = rng.choice(labelling.workers)
        target = left - rng.uniform(0.1, 0.3) * left
        wait_for("some more are labelled", partial(_deferred_at_most, labelling, target), 120, every=0.01)
        victim.signal(signal.SIGKILL)
        victim.kill()
        labelling.remove(victim)
        labelling.start_worker().wait_ready()
        left = labels.deferred(labelling.settings)
    labelling.finish()
