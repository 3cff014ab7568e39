"""The parameters of the spike detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spike:
    """The parameters of the detector. The shipped defaults serve every series."""

    windows_s: tuple[int, ...] = (900, 3_600, 14_400)
    """Seconds of the windows that are judged, the shortest first: four hours at most."""
    quantile: float = 0.97
    """The scope's bar of a window is this quantile of the highest ratios of the past's blocks of three hours,"""
    factor: float = 1.15
    """times this factor, in logs. The same again for the highest of all windows, in units of their bars."""
    soften: float = 4.0
    """Added to both sides of the ratio, so that a rise from 0 to 10 mentions is finite."""
    least: tuple[float, ...] = (2.5, 2.0, 1.5)
    """By window: the smallest ratio that counts, however quiet the past was."""
    present: float = 0.35
    """A longer window counts only while the shortest is beyond this share of its own bar: an alert is about the present."""
    prior: float = 3.0
    """The highest ratio assumed for each block that the first day still lacks."""
    surprise: float = 6.0
    """-log10 of the largest tail probability that is no chance: each scope is judged 2,000 times a week, and in between."""
    minimum: float = 10.0
    """Mentions in the window, at least (for a drop: expected in it)."""
    newest: float = 0.0
    """Mentions in the newest five minutes, at least (for a drop: expected there), of a series: a rule's `min_mentions`."""
    calm_s: int = 10_800
    """An alert resolves when the ratio has been under half its bar for so long."""
    share_least: float = 2.0
    """The smallest ratio of odds that counts, of a negative share."""
    share_dispersion: float = 0.02
    """The correlation in tone of mentions of the same minutes: the intra-class correlation of the beta-binomial."""


DROP = Spike(least=(2.5, 1.8, 1.5))
"""For drops: they have no height, so the least depth of the longer windows is what finds them."""
