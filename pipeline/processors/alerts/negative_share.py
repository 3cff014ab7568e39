"""The negative share of each scope that is usual: a week's memory, in which mentions of a week ago weigh 1/e."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.processors.alerts.counts import Values
from pipeline.processors.alerts.learned import Arrays, Learned
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.table import Rows

KEPT = 1 - STEP_S / (7 * 86400)
"""The weight of what is a step old."""


class NegativeShare:
    """By row of a table. The newest LATE_STEPS steps are kept apart: each has its own share, and can be taken over again.

    Restart: empty; `add` brings it back. Cost: 16 bytes a scope, and 20 more for each of these steps that mentions it.
    """

    def __init__(self) -> None:
        self._sums = np.zeros((0, 2))
        """Negative and labelled mentions by row, of the steps before `_step`, as they weigh when it begins."""
        self._step = 0
        self._late: dict[int, tuple[npt.NDArray[np.int32], Values]] = {}
        """Step -> its rows, and their negative and labelled mentions."""
        self._weighed: dict[int, Learned[Arrays]] = {}
        """By step."""

    @property
    def nbytes(self) -> int:
        late = sum(rows.nbytes + values.nbytes for rows, values in self._late.values())
        return self._sums.nbytes + late + sum(learned.nbytes for learned in self._weighed.values())

    def begin(self, step: int) -> None:
        """Starts over: `add` gives what was before `step`."""
        self._step = step - LATE_STEPS

    def add(self, rows: Rows, steps: Rows, labelled: Values) -> None:
        """Takes over negative and labelled mentions of the past: each row and step once."""
        old = steps < self._step
        weights = KEPT ** (self._step - 1 - steps[old])
        np.add.at(self._sums, rows[old], labelled[old] * weights[:, None])
        for step in np.unique(steps[~old]).tolist():
            here = steps == step
            self._late[step] = rows[here].astype(np.int32), labelled[here]

    def put(self, step: int, rows: Rows, labelled: Values) -> None:
        """Takes over a step: the newest, or once more a late one."""
        old = self._late.get(step)
        same = old is not None and np.array_equal(old[0], rows) and np.array_equal(old[1], labelled)
        if step < self._step or same:
            return
        self._late[step] = rows.astype(np.int32), labelled
        self._weighed = {number: learned for number, learned in self._weighed.items() if number <= step}

    def move(self, step: int) -> None:
        """`step` begins."""
        first = max(self._step, step - LATE_STEPS)
        for number in sorted(number for number in self._late if number < first):
            rows, labelled = self._late.pop(number)
            self._sums *= KEPT ** (number + 1 - self._step)
            self._sums[rows] += labelled
            self._step = number + 1
        self._sums *= KEPT ** (first - self._step)
        self._step = first
        self._weighed = {number: learned for number, learned in self._weighed.items() if number >= self._step}

    def grow(self, rows: int) -> None:
        """A new scope has no past."""
        if rows > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros((rows - len(self._sums), 2))])

    def forget(self, rows: Rows) -> None:
        """Drops what is known of these rows."""
        self._sums[rows] = 0
        for step, (theirs, labelled) in self._late.items():
            kept = ~np.isin(theirs, rows)
            self._late[step] = theirs[kept], labelled[kept]
        for learned in self._weighed.values():
            learned.forget(rows)

    def before(self, step: int, rows: Rows) -> Values:
        """The share when `step` begins, one of the newest LATE_STEPS; NaN where no mention was labelled."""
        step = max(step, self._step)
        learned = self._weighed.setdefault(step, Learned(Arrays))
        negative, labelled = learned.of(rows, lambda new: Arrays(self._weigh(step, new))).values.T
        with np.errstate(invalid="ignore"):
            share: Values = negative / np.where(labelled > 0, labelled, np.nan)
        return share

    def _weigh(self, step: int, rows: Rows) -> Values:
        sums = self._sums * KEPT ** (step - self._step)
        for number, (theirs, labelled) in self._late.items():
            if number < step:
                sums[theirs] += labelled * KEPT ** (step - 1 - number)
        taken: Values = sums[rows]
        return taken
