"""Whose turn it is: the prompt table's running quarter in time, all else together for a twentieth of the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from pipeline.rollups import job as module
from pipeline.rollups import table
from pipeline.rollups.asked import Asked
from pipeline.rollups.job import Job
from pipeline.rollups.rollup import QUARTER_S, Span
from pipeline.rollups.versions import Versions

BEGIN = 2_000_000 * QUARTER_S


class Named:
    """A rollup of which only its turn matters: the statement is its name."""

    rules = ""

    def __init__(self, name: str, prompt: bool = False) -> None:
        self.name, self.prompt = name, prompt

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        return self.name

    def differences(self, spans: Sequence[Span]) -> str:
        return ""


class NoSignals:
    """Those come from the test."""

    revoked: Callable[[], None]


def test_tables_that_are_not_prompt_share_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each took a twentieth for its running quarter, and the prompt one waited for six of them."""
    now, ran = [float(BEGIN)], list[tuple[str, float]]()
    for each in (module, table):
        monkeypatch.setattr(each, "steady", lambda: now[0])

    def write(statement: str) -> None:
        ran.append((statement, now[0]))
        now[0] += 0.5 if statement == "prompt" else 2.0

    names = [f"slow {number}" for number in range(6)]
    rollups = [*map(Named, names), Named("prompt", prompt=True)]
    job = Job(rollups, NoSignals(), write, lambda sql, more: pytest.fail(sql), Versions(1), Asked())  # type: ignore[arg-type]
    job._clock = lambda: now[0]
    for each_table in job._tables:
        each_table._clock = job._clock
    worst = 0.0
    while now[0] < BEGIN + 3_000:
        for each_table in job._tables:  # events come all the time
            since = each_table.waiting.since(lambda quarter: True)
            worst = max(worst, now[0] - (since or now[0])) if each_table.prompt else worst
            each_table.waiting.touch(int(now[0]) // QUARTER_S, 0, now[0])
        if not job._turn():
            now[0] += 0.2
    turns = Counter(name for name, _ in ran)
    assert worst < 15
    assert 2.0 * sum(turns[name] for name in names) < 0.055 * 3_000
    assert min(turns[name] for name in names) >= max(turns[name] for name in names) - 1 > 5, "they take turns"
