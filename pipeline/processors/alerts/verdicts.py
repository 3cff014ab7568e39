"""Verdicts of windowed rules on scopes at one minute: matrices of scopes by rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.processors.alerts.counts import Values
from pipeline.processors.alerts.rule_types import WindowedRule
from schemas.alerts import Scope

UNKNOWN, FALSE, TRUE, STILL, UNDECIDED = -1, 0, 1, 2, 3
"""The codes. STILL: not true, but near enough to keep an open alert open, so that a burst that rises and falls is one alert.
UNDECIDED: unknown, though there are enough mentions (their labels are late): keeps an open alert open for a while."""
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One slice at one minute. All arrays are scopes by rules; `expected`, `lower` and `upper` are NaN where there is none."""

    minute: int
    scopes: Sequence[Scope]
    rules: Sequence[WindowedRule]
    codes: Codes
    observed: Values
    expected: Values
    lower: Values
    upper: Values
    severity: Values
    windows: Sequence[Values]
    """Of each rule: scopes by `counts.MEASURES`."""
    span_s: Values | None = None
    """Of a spike that only a longer window than the shortest has: that window; else 0."""
