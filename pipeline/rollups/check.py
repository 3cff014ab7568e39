"""Check: the rollups compared with what a SELECT gives now, by day. It reads, and writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from pipeline.clickhouse.query import Ask
from pipeline.clock import Clock, steady
from pipeline.rollups.rollup import Rollup, Span, divided
from pipeline.rollups.sweep import Size, Sweep

PATIENCE_S = 60.0
"""A difference counts when it is still there after so long: rows land meanwhile, and the job is some seconds late."""
PAUSE_S = 2.0
Range = tuple[Rollup, Span]


class Difference(NamedTuple):
    """Rows of a rollup that differ, lack or are too many."""

    table: str
    day: date
    rows: int


class Check:
    """`ask` raises EarshotError. Cost: the rows of the range are read once by each rollup, on one core."""

    def __init__(
        self,
        ask: Ask,
        progress: Callable[[int, int], None] = lambda done, total: None,
        patience_s: float = PATIENCE_S,
        pause_s: float = PAUSE_S,
        clock: Clock = steady,
    ) -> None:
        self._ask, self._progress, self._patience_s, self._pause_s, self._clock = ask, progress, patience_s, pause_s, clock
        self._done = self._total = 0

    def run(self, ranges: Sequence[Range], bare: Sequence[Range] = ()) -> list[Difference]:
        """The differences of these ranges, by table and day. `bare` are those in which there is no event, so that a statement
        each does, however long they are. `progress` counts quarters of the others."""
        sweeps = [(rollup, Sweep(*span)) for rollup, span in ranges]
        self._done, self._total = 0, sum(len(sweep) for _, sweep in sweeps)
        suspects = [(rollup, span) for rollup, sweep in sweeps for span in self._suspects(rollup, sweep)]
        suspects += [(rollup, span) for rollup, span in bare if self._differences(rollup, span)]
        return self._still_there(suspects)

    def _suspects(self, rollup: Rollup, sweep: Sweep) -> list[Span]:
        """Parts of the range with a difference; the newest first."""
        size, found = Size(), []
        while sweep:
            self._progress(self._done, self._total)
            span, started = sweep.take(size.quarters), self._clock()
            if self._differences(rollup, span):
                found.append(span)
            quarters = span.last - span.first + 1
            size.took(quarters, self._clock() - started)
            sweep.done(span)
            self._done += quarters
        self._progress(self._done, self._total)
        return found

    def _still_there(self, suspects: Sequence[Range]) -> list[Difference]:
        patient_until = self._clock() + self._patience_s
        while True:
            found = [(rollup, span, self._differences(rollup, span)) for rollup, span in suspects]
            suspects = [(rollup, span) for rollup, span, days in found if days]
            if not suspects or self._clock() >= patient_until:
                break
            time.sleep(self._pause_s)
        counted: Counter[tuple[str, date]] = Counter()
        for rollup, _, days in found:
            for day, rows in days:
                counted[rollup.name, day] += rows
        return [Difference(name, day, rows) for (name, day), rows in sorted(counted.items())]

    def _differences(self, rollup: Rollup, span: Span) -> list[tuple[date, int]]:
        parts, _ = divided(rollup, [span], self._ask)
        days: Counter[date] = Counter()
        if len(parts) > 1 and span.first < span.last:  # each part would look through all rows of the span
            middle = (span.first + span.last) // 2
            for half in (Span(span.first, middle), Span(middle + 1, span.last)):
                days.update(dict(self._differences(rollup, half)))
            return sorted(days.items())
        for part in parts:
            rows = self._ask(f"SELECT toDate32(day) AS day, differing FROM ({part.differences([span])})", {})
            days.update({day: int(differing) for day, differing in rows.iter_rows()})
        return sorted(days.items())
