"""The expected counts of a history's scopes: each step's own, by the clock of a time zone.

The slow part of a baseline is computed only for scopes that a rule asks for, once an hour each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.config.zone import UTC
from pipeline.processors.alerts.learned import Arrays, Learned
from pipeline.processors.alerts.local_time import by_local_time, offset
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.spike import Baseline, expect, with_counts
from pipeline.processors.alerts.spike_parameters import Floats, Spike
from pipeline.processors.alerts.study import DAYS, Study, study
from pipeline.processors.alerts.table import CountTable, Rows

HOUR_STEPS = 3600 // STEP_S
STUDY_STEPS = DAYS * 86400 // STEP_S
REACH_STEPS = STUDY_STEPS + 3 * HOUR_STEPS
"""A study of the hour before the newest looks at four whole weeks, over a change of summer time too."""
_BLOCK = 256  # scopes whose counts are laid out at a time
Volume = Callable[[Rows, int, int], Floats]
"""(rows, steps, end) -> the counts of so many steps before `end`; NaN: unknown."""


class Expected:
    """Baselines of the newest LATE_STEPS steps. They are cached, so that a second's judgement looks at no history."""

    def __init__(self, table: CountTable, volume: Volume) -> None:
        self._table, self._volume = table, volume
        self._studies: dict[tuple[Spike, str, int], Learned[Study]] = {}
        """By zone and by the first step of the hour, both by that zone's clock."""
        self._baselines: dict[tuple[Spike, str | None, int], Learned[Baseline]] = {}
        """By the rule's zone and by step, without the counts right before it."""
        self._recent: dict[int, Learned[Arrays]] = {}
        """By step: the counts of the hour before it."""

    def baseline(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Baseline:
        """Of this step for these rows, by the clock of `zone`; None: of the zone of each row's brand."""
        learned = self._baselines.setdefault((spike, zone, step), Learned(Baseline))
        baseline = learned.of(rows, lambda new: self._expect(spike, new, step, zone))
        recent = self._recent.setdefault(step, Learned(Arrays))
        counts = recent.of(rows, lambda new: Arrays(self._volume(new, HOUR_STEPS, step))).values
        return with_counts(baseline, counts, spike)

    def move(self, step: int) -> None:
        """`step` begins: forgets what is about steps that are judged no more."""
        oldest = step - LATE_STEPS
        self._baselines = {key: learned for key, learned in self._baselines.items() if key[2] >= oldest}
        self._recent = {number: learned for number, learned in self._recent.items() if number >= oldest}
        self._studies = {
            key: learned for key, learned in self._studies.items() if key[2] >= oldest + offset(key[1], step) - 2 * HOUR_STEPS
        }

    def correct(self, step: int) -> None:
        """The counts of this step are others now."""
        self._recent = {number: learned for number, learned in self._recent.items() if number <= step}

    def forget(self, rows: Rows) -> None:
        """Drops what is known of these rows."""
        for group in (self._studies, self._baselines, self._recent):
            for learned in group.values():
                learned.forget(rows)

    def clear(self) -> None:
        """Brands have other zones."""
        self._studies.clear()
        self._baselines.clear()

    def _expect(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Baseline:
        groups = self._table.by_zone(rows) if zone is None and len(rows) else [(zone or UTC, rows)]
        parts = [self._expect_in(name, spike, theirs, step) for name, theirs in groups]
        order = np.argsort(np.concatenate([theirs for _, theirs in groups]))
        return Baseline(*(np.concatenate(arrays)[order] for arrays in zip(*parts, strict=True)))

    def _expect_in(self, zone: str, spike: Spike, rows: Rows, step: int) -> Baseline:
        local = step + offset(zone, step)
        hour = local - local % HOUR_STEPS
        studies = self._studies.setdefault((spike, zone, hour), Learned(Study))
        studied = studies.of(rows, lambda new: self._study(zone, spike, new, (step, hour)))
        return expect(studied, np.zeros((len(rows), 0)), local, spike)

    def _study(self, zone: str, spike: Spike, rows: Rows, at: tuple[int, int]) -> Study:
        step, hour = at
        blocks = [rows[n : n + _BLOCK] for n in range(0, max(len(rows), 1), _BLOCK)]
        parts = []
        for block in blocks:
            counts, first = by_local_time(self._volume(block, REACH_STEPS, step), step - REACH_STEPS, zone)
            parts.append(study(counts[:, : hour - first], spike))
        return Study(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
