"""The expected counts of a history's scopes: each step's own, by the clock of a time zone.

The slow part of a baseline is computed only for scopes that a rule asks for, once an hour each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.config.zone import UTC
from pipeline.processors.alerts.learned import Learned, Limits, Sums, small
from pipeline.processors.alerts.local_time import by_local_time, offset, offsets
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import LATE_STEPS, Counts
from pipeline.processors.alerts.spike import Baseline, expect, rates_of, reach, recent_sums
from pipeline.processors.alerts.spike_parameters import Bools, Floats, Ints, Spike
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
        limits = self._limits.setdefault((spike, zone, step), Learned(Limits))
        sums = self._sums.setdefault((spike, zone, step), Learned(Sums))
        known, *others = limits.of(rows, lambda new: Limits(*self._by_zone(zone, new, partial(self._expect, spike, step))))
        expected, window, *bars = (array.astype(np.float64) for array in others)
        added = sums.of(rows, lambda new: Sums(*self._by_zone(zone, new, partial(self._add_up, spike, step))))
        begun, ended = (array.astype(np.float64) for array in added)
        return Baseline(known, expected, window, begun, ended, *bars)

    def unstudied(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Bools:
        """Of which of the rows `baseline` would have to look at four weeks: 0.4 ms each."""
        studied = [np.zeros(0, np.int64)]
        for name, theirs in self._zones(zone, rows):
            learned = self._studies.get((spike, name, _hour(name, step)))
            studied.append(theirs[:0] if learned is None else theirs[learned.has(theirs)])
        return ~np.isin(rows, np.concatenate(studied))

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

    def _by_zone(self, zone: str | None, rows: Rows, make: Callable[[str, Rows], tuple[Counts, ...]]) -> list[Counts]:
        """The arrays of `make`, in the order of the rows."""
        groups = self._zones(zone, rows)
        parts = [make(name, theirs) for name, theirs in groups]
        order = np.argsort(np.concatenate([theirs for _, theirs in groups]))
        return [small(np.concatenate(arrays)[order]) for arrays in zip(*parts, strict=True)]

    def _zones(self, zone: str | None, rows: Rows) -> list[tuple[str, Rows]]:
        return self._table.by_zone(rows) if zone is None and len(rows) else [(zone or UTC, rows)]

    def _expect(self, spike: Spike, step: int, zone: str, rows: Rows) -> Limits:
        studied, clock = self._studied(spike, step, zone, rows)
        whole = expect(studied, np.zeros((len(rows), 0)), int(clock[-1]), spike, clock=clock)
        return Limits(*(getattr(whole, name) for name in Limits._fields))

    def _add_up(self, spike: Spike, step: int, zone: str, rows: Rows) -> Sums:
        studied, clock = self._studied(spike, step, zone, rows)
        rates = rates_of(studied, int(clock[-1]), spike, clock=clock)
        return Sums(*recent_sums(rates[:, :-1], self._volume(rows, reach(spike), step), spike))

    def _studied(self, spike: Spike, step: int, zone: str, rows: Rows) -> tuple[Study, Ints]:
        """The studies of the hour of the step, and the clock of `rates_of`."""
        first = step - reach(spike)
        clock = np.arange(first, step + 1) + offsets(zone, first, step + 1)
        hour = _hour(zone, step)
        studies = self._studies.setdefault((spike, zone, hour), Learned(Study))
        kept = studies.of(rows, lambda new: self._study(zone, spike, new, (step, hour)))
        return Study(kept.known, *(array.astype(np.float64) for array in kept[1:])), clock

    def _study(self, zone: str, spike: Spike, rows: Rows, at: tuple[int, int]) -> Study:
        step, hour = at
        blocks = [rows[n : n + _BLOCK] for n in range(0, max(len(rows), 1), _BLOCK)]
        parts = []
        for block in blocks:
            counts, first = by_local_time(self._volume(block, REACH_STEPS, step), step - REACH_STEPS, zone)
            parts.append(study(counts[:, : hour - first], spike))
        return Study(*(small(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def _hour(zone: str, step: int) -> int:
    """The first step of its hour, both by the zone's clock."""
    local = step + offset(zone, step)
    return local - local % HOUR_STEPS
