"""The expected counts of a history's scopes: each step's own, by the clock of a time zone.

The slow part of a baseline is computed only for scopes that a rule asks for, once an hour each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.config.zone import UTC
from pipeline.processors.alerts.learned import Learned, Limits, Sums, small
from pipeline.processors.alerts.local_time import by_local_time, offset
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.spike import Baseline, expect, recent_sums
from pipeline.processors.alerts.spike_parameters import Floats, Spike
from pipeline.processors.alerts.study import DAYS, Study, study, window_steps
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
        self._limits: dict[tuple[Spike, str | None, int], Learned[Limits]] = {}
        """By the rule's zone and by step."""
        self._sums: dict[tuple[Spike, str | None, int], Learned[Sums]] = {}
        """As `_limits`."""

    @property
    def nbytes(self) -> int:
        studies = sum(learned.nbytes for learned in self._studies.values())
        limits = sum(learned.nbytes for learned in self._limits.values())
        return studies + limits + sum(learned.nbytes for learned in self._sums.values())

    def baseline(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Baseline:
        """Of this step for these rows, by the clock of `zone`; None: of the zone of each row's brand."""
        learned = self._limits.setdefault((spike, zone, step), Learned(Limits))
        limits = learned.of(rows, lambda new: self._expect(spike, new, step, zone))
        known, expected, *others = limits.known, *(array.astype(np.float64) for array in limits[1:])
        dispersion, bar_above, bar_below, limit_above, limit_below = others

        def add_up(new: Rows) -> Sums:
            theirs = learned.of(new, lambda unknown: self._expect(spike, unknown, step, zone)).expected.astype(np.float64)
            return Sums(*map(small, recent_sums(theirs, self._volume(new, HOUR_STEPS, step), spike)))

        sums = self._sums.setdefault((spike, zone, step), Learned(Sums)).of(rows, add_up)
        begun, ended = (array.astype(np.float64) for array in sums)
        window = expected * window_steps(spike, STEP_S)
        return Baseline(known, expected, dispersion, window, begun, ended, bar_above, bar_below, limit_above, limit_below)

    def move(self, step: int) -> None:
        """`step` begins: forgets what is about steps that are judged no more."""
        oldest = step - LATE_STEPS
        self._limits = {key: learned for key, learned in self._limits.items() if key[2] >= oldest}
        self._sums = {key: learned for key, learned in self._sums.items() if key[2] >= oldest}
        self._studies = {
            key: learned for key, learned in self._studies.items() if key[2] >= oldest + offset(key[1], step) - 2 * HOUR_STEPS
        }

    def correct(self, step: int) -> None:
        """The counts of this step are others now."""
        self._sums = {key: learned for key, learned in self._sums.items() if key[2] <= step}

    def forget(self, rows: Rows) -> None:
        """Drops what is known of these rows."""
        for studies in self._studies.values():
            studies.forget(rows)
        for limits in self._limits.values():
            limits.forget(rows)
        for sums in self._sums.values():
            sums.forget(rows)

    def forget_zones(self, rows: Rows) -> None:
        """The brands of these rows have other zones. Studies are by zone, and stay."""
        for key, limits in self._limits.items():
            if key[1] is None:
                limits.forget(rows)
        for key, sums in self._sums.items():
            if key[1] is None:
                sums.forget(rows)

    def _expect(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Limits:
        groups = self._table.by_zone(rows) if zone is None and len(rows) else [(zone or UTC, rows)]
        parts = [self._expect_in(name, spike, theirs, step) for name, theirs in groups]
        order = np.argsort(np.concatenate([theirs for _, theirs in groups]))
        return Limits(*(np.concatenate(arrays)[order] for arrays in zip(*parts, strict=True)))

    def _expect_in(self, zone: str, spike: Spike, rows: Rows, step: int) -> Limits:
        local = step + offset(zone, step)
        hour = local - local % HOUR_STEPS
        studies = self._studies.setdefault((spike, zone, hour), Learned(Study))
        kept = studies.of(rows, lambda new: self._study(zone, spike, new, (step, hour)))
        studied = Study(kept.known, *(array.astype(np.float64) for array in kept[1:]))
        whole = expect(studied, np.zeros((len(rows), 0)), local, spike)
        return Limits(*(small(getattr(whole, name)) for name in Limits._fields))

    def _study(self, zone: str, spike: Spike, rows: Rows, at: tuple[int, int]) -> Study:
        step, hour = at
        blocks = [rows[n : n + _BLOCK] for n in range(0, max(len(rows), 1), _BLOCK)]
        parts = []
        for block in blocks:
            counts, first = by_local_time(self._volume(block, REACH_STEPS, step), step - REACH_STEPS, zone)
            parts.append(study(counts[:, : hour - first], spike))
        return Study(*(small(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))
