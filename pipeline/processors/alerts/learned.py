"""Results that are computed once for each row and then kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.processors.alerts.past import Counts
from pipeline.processors.alerts.spike_parameters import Bools
from pipeline.processors.alerts.study import Study
from pipeline.processors.alerts.table import Rows

Small = npt.NDArray[np.float32]


class Arrays(NamedTuple):
    """One array with values for each row."""

    values: npt.NDArray[np.floating[Any]]


class Limits(NamedTuple):
    """What a Baseline has of its hour and of its step: the slow part. 5 bytes for each row, 20 for each of its windows."""

    known: Bools
    expected: Small
    window: Small
    bar_above: Small
    bar_below: Small
    limit_above: Small
    limit_below: Small


class Sums(NamedTuple):
    """What a Baseline has of the counts right before its step: 8 bytes for each window of a row."""

    begun: Small
    ended: Small


L = TypeVar("L", Study, Limits, Sums, Arrays)


def small(values: Counts) -> Counts:
    """In half the bytes, if they are floats: a ten-millionth more or less decides nothing."""
    return values.astype(np.float32) if values.dtype == np.float64 else values


class Learned(Generic[L]):
    """Results of some rows, of one kind."""

    def __init__(self, kind: type[L]) -> None:
        self._kind: type[L] = kind
        self._rows = np.zeros(0, np.int32)
        self._arrays: list[npt.NDArray[Any]] = []
        """Of `kind`, with values for each row."""

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + sum(array.nbytes for array in self._arrays)

    def of(self, rows: Rows, learn: Callable[[Rows], L]) -> L:
        """Of these rows; calls `learn` for the rows that are not known yet."""
        new = np.setdiff1d(rows, self._rows)
        if new.size or not self._arrays:
            both, learned = np.append(self._rows, new).astype(np.int32), learn(new)
            order = np.argsort(both)
            pairs = zip(self._arrays, learned, strict=True) if self._arrays else ((array,) for array in learned)
            self._rows, self._arrays = both[order], [np.concatenate(pair)[order] for pair in pairs]
        indices = np.searchsorted(self._rows, rows)
        taken: L = self._kind(*(array[indices] for array in self._arrays))
        return taken

    def has(self, rows: Rows) -> Bools:
        return np.isin(rows, self._rows)

    def forget(self, rows: Rows) -> None:
        kept = ~np.isin(self._rows, rows)
        self._rows, self._arrays = self._rows[kept], [array[kept] for array in self._arrays]
