"""The regression gate: it finds a step that got dearer, and names it."""

from __future__ import annotations

import json

import pytest

from benchmarks import check
from pipeline.batch import EventBatch
from pipeline.processors.mentions.step import Mentions


def test_what_is_stored_is_what_is_measured() -> None:
    assert tuple(json.loads(check.BASELINE.read_text())) == check.STEPS


def test_noise_is_tolerated_and_more_is_not() -> None:
    stored = {"decode": 1.0, "dedup": 0.2}
    assert check.regressions({"decode": 1.2, "dedup": 0.1}, stored) == []
    assert check.regressions({"decode": 1.3, "dedup": 0.1}, stored) == ["decode"]
    assert check.regressions({"decode": 1.0, "shape": 0.1}, stored) == ["shape"]


def test_a_planted_slow_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = check.measure(3_000, 2)
    process = Mentions.process

    def slow(self: Mentions, batch: EventBatch) -> EventBatch:
        for _ in range(20):
            process(self, batch)
        return process(self, batch)

    monkeypatch.setattr(Mentions, "process", slow)
    assert {"mentions", "mentions_5000"} <= set(check.regressions(check.measure(3_000, 2), before))
