"""Workers die between an insert and its signal, and brokers go away: what landed is told all the same, once or more."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest

from pipeline.embedded.stack import Stack
from tests.support import labels, signals
from tests.support.harness import ONLY_LONG, Run, Size
from tests.support.worker import Worker, wait_for


@pytest.fixture
def batch_rows() -> int:
    return 500


@pytest.fixture
def rules(run: Run, tmp_path: Path) -> Path:
    """The rules of the run's workers, who may die at a signal."""
    path = signals.write_rules(tmp_path)
    run.settings = run.settings.model_copy(update={"alerts": path})
    run.command = ("-m", "tests.support.signals")
    return path


@ONLY_LONG
def test_a_worker_dies_before_its_signal(
    run: Run, size: Size, rules: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker lands something and dies before it tells, the first one before it has committed anything; its heir does the
    same, now and then before it has told anything."""
    _die_in_turn(run, size, rng, monkeypatch)
    run.finish()
    wrong = signals.check(run.settings, rules)
    assert not wrong, (len(wrong), wrong[:10])


@ONLY_LONG
def test_a_worker_that_labels_later_dies_before_its_signal(
    run: Run, size: Size, rules: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(labels.DELAY, "0.0002")
    run.labelled = True
    _die_in_turn(run, size, rng, monkeypatch)
    run.finish()
    wrong = signals.check(run.settings, rules, labels_follow=True)
    assert not wrong, (len(wrong), wrong[:10])


def _ended(worker: Worker) -> bool:
    return worker.exit_code is not None


def _die_in_turn(run: Run, size: Size, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    count = size.events // (size.kills + 1)
    for number in range(size.kills):
        monkeypatch.setenv(signals.DIE_AT, str(1 if number == 0 else rng.randint(1, 8)))
        worker = run.start_worker()
        run.produce(count)
        wait_for("it dies", partial(_ended, worker), every=0.01)
        worker.close()
        run.remove(worker)
    monkeypatch.setenv(signals.DIE_AT, "0")
    run.start_worker()
    run.produce(size.events - count * size.kills)


@ONLY_LONG
def test_signals_survive_a_broker_that_is_killed(run: Run, stack: Stack, size: Size, rules: Path, rng: random.Random) -> None:
    worker = run.start_worker()
    worker.wait_ready()
    with run.feeding(size.events, 2_000.0):
        for _ in range(size.outages):
            time.sleep(rng.uniform(1, 4))
            stack.kill("kafka")
            worker.wait_ready(False)
            stack.restart("kafka")
            worker.wait_ready()
    run.finish()
    wrong = signals.check(run.settings, rules)
    assert not wrong, (len(wrong), wrong[:10])
