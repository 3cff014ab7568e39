"""Connected components over arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def components(count: int, one: Numbers, other: Numbers) -> Numbers:
    """The component of each of `count` nodes, given the two ends of each edge: the smallest node in it.

    Each round hangs the roots of edges below smaller ones, then shortens the paths: some ten passes over the arrays.
    """
    parent = np.arange(count, dtype=np.int64)
    while len(one):
        roots, others = parent[one], parent[other]
        differ = roots != others
        one, other, roots, others = one[differ], other[differ], roots[differ], others[differ]
        np.minimum.at(parent, np.maximum(roots, others), np.minimum(roots, others))
        while True:
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
    return parent


def firsts(groups: Numbers, count: int, *keys: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> Numbers:
    """The row that comes first in each of `count` groups, by the keys, the most important first; none of an empty group.

    The keys together tell all rows of a group apart.
    """
    rows = np.arange(len(groups), dtype=np.int64)
    for key in keys:
        best = np.full(count, np.iinfo(key.dtype).max, dtype=key.dtype)
        np.minimum.at(best, groups[rows], key[rows])
        rows = rows[key[rows] == best[groups[rows]]]
    return rows
