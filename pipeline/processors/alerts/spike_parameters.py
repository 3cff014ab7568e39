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

    window_s: int = 900
    """Seconds of the window that is judged: an hour at most."""
    quantile: float = 0.97
    """The scope's bar is this quantile of the highest ratios of the past's blocks of three hours,"""
    factor: float = 1.15
    """times this factor, in logs."""
    soften: float = 4.0
    """Added to both sides of the ratio, so that a rise from 0 to 10 mentions is finite."""
    least: float = 2.5
    """The smallest ratio that counts, however quiet the past was."""
    prior: float = 3.0
    """The highest ratio assumed for each block that the first day still lacks."""
    surprise: float = 6.0
    """-log10 of the largest tail probability that is no chance: each scope is judged 2,000 times a week, and in between."""
    minimum: float = 10.0
    """Mentions in the window, at least (for a drop: expected in it)."""
    calm_s: int = 10_800
    """An alert resolves when the ratio has been under half its bar for so long."""
    share_least: float = 2.0
    """The smallest ratio of odds that counts, of a negative share."""
    share_dispersion: float = 0.02
    """The correlation in tone of mentions of the same minutes: the intra-class correlation of the beta-binomial."""


DROP = Spike(window_s=3_600)
"""For drops: it takes longer to see that nothing comes than that much comes."""
