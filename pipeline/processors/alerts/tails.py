"""Tails of distributions: how improbable a count or a share is, as -log10 of a probability. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from pipeline.processors.alerts.spike_parameters import Bools, Floats

_ERFC = (
    (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806)
    + (0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277)
)  # fmt: skip


def surprise(total: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """-log10 of the negative binomial tail from `total` outwards, on the side of the mean where it is.

    Barndorff-Nielsen's saddlepoint formula with half a count as the continuity correction: within some percent of the sum.
    """
    mean, size = np.maximum(mean, 1e-3), 1 / np.maximum(dispersion, 1e-9)
    above = total > mean
    x = np.maximum(np.where(above, total - 0.5, total + 0.5), 1e-3)
    log_ratio, log_other = np.log(x / mean), np.log((x + size) / (mean + size))
    deviance = 2 * np.maximum(x * log_ratio - (x + size) * log_other, 0)
    steep = 2 * np.sinh((log_ratio - log_other) / 2) * np.sqrt(x * (1 + x / size))
    return _tail(np.sqrt(deviance), np.abs(steep), np.where(above, x > mean, x < mean))


def share_surprise(share: Floats, mean: Floats, n: Floats) -> Floats:
    """-log10 of the binomial tail of a share of `n` mentions where `mean` is expected."""
    above = share > mean
    x = np.clip(share + np.where(above, -0.5, 0.5) / n, 1e-6, 1 - 1e-6)
    deviance = 2 * n * np.maximum(x * np.log(x / mean) + (1 - x) * np.log((1 - x) / (1 - mean)), 0)
    steep = 2 * np.sinh((logit(x) - logit(mean)) / 2) * np.sqrt(n * x * (1 - x))
    return _tail(np.sqrt(deviance), np.abs(steep), np.where(above, x > mean, x < mean))


def _tail(root: Floats, steep: Floats, outside: Bools) -> Floats:
    """-log10 of the tail of the saddlepoint formula; 0 within half a count of the mean."""
    safe = np.maximum(root, 1e-2)
    z = np.maximum(safe + np.log(np.maximum(steep, 1e-9) / safe) / safe, 0)
    return np.where(outside & (root > 1e-2), _log10_normal_tail(z), 0.0)


def _log10_normal_tail(z: Floats) -> Floats:
    """-log10 of the probability that a normal variable is above z >= 0: Numerical Recipes' Chebyshev fit of erfc, to 1.2e-7."""
    x = z / np.sqrt(2)
    t = 1 / (1 + x / 2)
    fit = np.polynomial.polynomial.polyval(t, _ERFC)
    return np.asarray((x * x - fit - np.log(t / 2)) / np.log(10))


def logit(share: Floats) -> Floats:
    """Log odds."""
    return np.asarray(np.log(share / (1 - share)))


def share_of(odds: Floats) -> Floats:
    """The share of these log odds."""
    return np.asarray(1 / (1 + np.exp(-odds)))
