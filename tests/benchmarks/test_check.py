"""The regression gate: it finds a step that got dearer, and names it."""

from __future__ import annotations

import json

import pytest

from benchmarks import check, load, steps
from pipeline.batch import EventBatch
from pipeline.processors.dedup import RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.step import Mentions
from tests.contracts.test_steps import NAMES


def test_what_is_stored_is_what_is_measured() -> None:
    assert tuple(json.loads(check.BASELINE.read_text())) == check.STEPS


def test_the_hot_path_has_the_first_steps_of_a_worker() -> None:
    chain = steps.chain(load.records(10), RevisionIndex(KeySet(1_000, 1e9)), load.brands())
    assert [step.name for step in chain] == NAMES[: len(chain)]


def test_each_step_alone_is_measured() -> None:
    assert steps.each_step(load.records(10)).keys() == set(steps.ALONE)


def test_noise_is_tolerated_and_more_is_not() -> None:
    stored = {"decode": 1.0, "dedup": 0.2}
    assert check.regressions({"decode": 1.2, "dedup": 0.1}, stored) == []
    assert check.regressions({"decode": 1.3, "dedup": 0.1}, stored) == ["decode"]
    assert check.regressions({"decode": 1.0, "shape": 0.1}, stored) == ["shape"]


@pytest.mark.slow
def test_a_planted_slow_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = check.measure(3_000, 2)
    process = Mentions.process

    def slow(self: Mentions, batch: EventBatch) -> EventBatch:
        for _ in range(20):
            process(self, batch)
        return process(self, batch)

    monkeypatch.setattr(Mentions, "process", slow)
    assert {"mentions", "mentions_5000"} <= set(check.regressions(check.measure(3_000, 2), before))
