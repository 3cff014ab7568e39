"""The thread that runs the job: what it says when the job begins again, or stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from pipeline.control import rollups as module
from pipeline.control.rollups import OtherRules, RollupsJob
from pipeline.monitoring import metrics
from pipeline.rollups.kept import ALL
from pipeline.rollups.rollup import Span


class Stopped(threading.Event):
    """Waits for nothing."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def work(monkeypatch: pytest.MonkeyPatch, *runs: Callable[[RollupsJob], None]) -> RollupsJob:
    """The thread's work, of which these are the runs of the job."""
    stop, left = Stopped(), iter(runs)
    job = RollupsJob(cast(Any, None), cast(Any, None), cast(Any, None), (), ALL)

    def run(*_: object) -> None:
        if (each := next(left, None)) is None:
            stop.set()
        else:
            each(job)

    monkeypatch.setattr(job, "_run", run)
    job._work(1, stop, lambda: None)
    return job


def test_a_rebuild_ends_where_the_rules_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables forgot it and its progress did not: each other one was refused as long as control ran."""

    def asked(job: RollupsJob) -> None:
        job._asked.ask(Span(1, 9))
        raise OtherRules

    assert work(monkeypatch, asked)._asked.progress() == (9, 0, "the rules of a table have changed: ask again")


def test_a_job_that_stands_still_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the log said so: the lag is measured by the job."""
    now, lags = [1_000.0], list[float]()
    monkeypatch.setattr(module, "steady", lambda: now[0])

    def runs() -> Iterator[Callable[[RollupsJob], None]]:
        for lasts in (7_200.0, 1.0, 1.0, 400.0):

            def fails(job: RollupsJob, lasts: float = lasts) -> None:
                lags.append(float(metrics.ROLLUP_LAG.labels("running")._value.get()))
                now[0] += lasts
                raise ValueError("no such column")

            yield fails

    def last(job: RollupsJob) -> None:
        lags.append(float(metrics.ROLLUP_LAG.labels("older")._value.get()))

    work(monkeypatch, *runs(), last)
    assert lags == [0, 0, 1, 2, 0], "it ran well for 400 s"
