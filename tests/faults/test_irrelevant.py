"""Workers that drop what mentions no brand are killed: the rest lands once, and changes of what was dropped do not pile up."""

from __future__ import annotations

import random

import pytest

from tests.support import oracle
from tests.support.harness import ONLY_LONG, Run, Size, kill_rounds

BATCH_ROWS = 500
IN_MEMORY = 20
"""So few that most of what waits does so in its table alone."""


@pytest.fixture
def batch_rows() -> int:
    return BATCH_ROWS


@ONLY_LONG  # in short: that of a worker that labels, tests/faults/test_labels.py
def test_a_worker_that_drops_what_mentions_no_brand_is_killed(run: Run, size: Size, rng: random.Random) -> None:
    worker = run.settings.worker.model_copy(update={"keep_irrelevant": False, "waiting_changes": IN_MEMORY})
    run.settings = run.settings.model_copy(update={"worker": worker})
    run.load.one_in = 4
    kill_rounds(run, size.events // 5, max(1, size.kills // 3), rng)
    run.finish()

    dropped = {m.event_key: m for m in run.produced if m.event >= 0 and run.load.mentions_none(m.event)}
    found = oracle.read(run.settings)
    assert not set(found.final.get_column("event_key")) & dropped.keys(), "nothing of them is there for who reads with FINAL"
    created = {m.event_key for m in run.produced if m.operation == "create"}
    changes = {m.record for m in run.produced if m.event_key in dropped.keys() & created and m.operation != "create"}
    waiting = sum(key in dropped and key in created for key in found.waiting.get_column("event_key"))
    print(f"{waiting} of {len(changes)} changes of dropped events wait, because a worker was killed before them")
    assert waiting < len(changes) / 3
