"""Groups of rows whose texts may be similar, among many: which few texts of a brand similarity.py has to compare exactly.

Two rows are compared if two of the lowest values of their sketches agree (schemas/clickhouse/036_blank_columns.sql), with their
neighbours in that order alone; what is compared is a signature: a bit for each 3-character piece. Rows that compare as similar
are linked, and a group is what links lead to. The row with the most links, a group's centre, is compared with the rows that
have a value of any row of the group. So the cost grows with the rows, not with their pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

BITS = 512
"""Of a signature: a text of 100 characters sets a fifth of them."""
LOWEST = 6
"""Values of a sketch that are read. With five, 1,492 of 1,500 campaigns of 10 accounts are found, with six all."""
LINKED = 0.53
"""Similarity by signature of two linked rows: two texts of a campaign, with 5 edits in 100 characters each, have 0.63 in the
mean and 99 of 100 have more than this; two that share a sentence of 50 characters have 0.37 in the mean."""
LIKE_CENTRE = 0.4
"""Similarity by signature to a group's row with the most links, of the rows that are compared exactly."""
SEED, SURE = 0.25, 0.8
"""Of the accounts that a rule asks for: in a group, so that it counts, and in rows that are as similar to its centre as linked
ones."""
_NEIGHBOURS, _CHUNK, _PART = 2, 10_000, 4_000
_MOST_GROUPS = 64
"""A value leads a row to so many groups at most, the largest: one that more have is a word's, and other values lead to the
others. So no words that all texts share make the cost grow with the square of the rows."""
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]
_ONES = np.ones(BITS // 64, np.float32)
_PIECES = -BITS * np.log1p(-np.minimum(np.arange(BITS + 1), BITS - 0.5) / BITS)
"""How many different pieces set so many bits, in the mean."""


def signatures(texts: pl.Series) -> Numbers:
    """A row of BITS for each text: which 3-character pieces it has."""
    parts = [_signatures(texts.slice(start, _CHUNK)) for start in range(0, len(texts), _CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0, BITS // 64), np.uint64)


def _signatures(texts: pl.Series) -> Numbers:
    letters = np.frombuffer("".join(texts.to_list()).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    lengths = texts.str.len_chars().to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(texts)), lengths)
    whole = np.flatnonzero(rows[:-2] == rows[2:])
    pieces = letters[whole] << np.uint64(42) | letters[whole + 1] << np.uint64(21) | letters[whole + 2]
    bits = (pieces * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - BITS.bit_length() + 1)
    flags = np.zeros((len(texts), BITS), dtype=np.bool_)
    flags[rows[whole], bits] = True
    return np.packbits(flags, axis=1).view(np.uint64)


def bits_of(signs: Numbers) -> Ints:
    """How many bits each signature has."""
    return np.asarray(np.bitwise_count(signs).astype(np.float32) @ _ONES).astype(np.int64)  # sum() takes four times as long


class Texts(NamedTuple):
    """Texts about one brand, as arrays of equal length."""

    sketches: npt.NDArray[np.uint32]
    """The LOWEST values of each sketch; of fewer values: zeros behind them."""
    signatures: Numbers
    sizes: Ints
    """Bits that each signature has."""
    accounts: Numbers
    fresh: npt.NDArray[np.bool_]
    """Whether the row came, or changed, since the search before."""

    def similarity(self, ones: Ints | int, others: Ints | slice) -> npt.NDArray[np.float64]:
        """The estimated Jaccard similarity of the pieces, row by row (or of one row to others)."""
        both = bits_of(self.signatures[ones] & self.signatures[others])
        ones, others = self.sizes[ones], self.sizes[others]
        union = _PIECES[ones + others - both]
        return np.asarray((_PIECES[ones] + _PIECES[others] - union) / np.maximum(union, 1))


def alike(texts: Texts, least: int) -> Ints:
    """The rows, by index, of groups that may be from `least` accounts and have a fresh row."""
    ones, others = _links(texts)
    linked, ends = np.unique(np.concatenate([ones, others]), return_inverse=True)
    labels = _labels(len(linked), ends[: len(ones)], ends[len(ones) :])
    order = np.lexsort((-np.bincount(ends, minlength=len(linked)), labels))
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    groups = sorted((linked[part] for part in parts if len(part) and len(part) >= SEED * least), key=len, reverse=True)
    if not groups:
        return np.zeros(0, dtype=np.int64)
    centres, of, rows, linked_to = _near_centres(texts, groups)
    accounts = np.unique(texts.accounts[rows], return_inverse=True)[1]
    pairs = np.unique((of * len(rows) + accounts)[linked_to])  # each account once a group
    enough = np.bincount(pairs // max(len(rows), 1), minlength=len(centres)) >= SURE * least
    enough &= np.bincount(of[texts.fresh[rows]], minlength=len(centres)) > 0
    return np.unique(rows[enough[of]])


def _near_centres(texts: Texts, groups: Sequence[Ints]) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
    """The first row of each group, its centre; then, pair by pair, a group, a row like its centre, and whether these are as
    similar as linked rows. Compared are the rows that have a value of any row of
    the group."""
    centres = np.array([group[0] for group in groups])
    members, of = np.concatenate(groups), np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    values, whose = _values_of_groups(texts.sketches[members], of)
    found = [(of, members)]
    for start in range(0, len(texts.sketches), _PART):
        wanted = texts.sketches[start : start + _PART]
        first = np.searchsorted(values, wanted.ravel())
        counts = np.searchsorted(values, wanted.ravel(), "right") - first
        row = np.repeat(np.repeat(np.arange(len(wanted)), wanted.shape[1]), counts)
        at = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        both = np.unique(whose[at] * _PART + row)
        found.append((both // _PART, both % _PART + start))
    pairs = [_like_centre(texts, centres, *part) for part in found]
    of, rows, near = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return centres, of, rows, near >= LINKED


def _like_centre(texts: Texts, centres: Ints, of: Ints, rows: Ints) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    near = texts.similarity(centres[of], rows)
    kept = near >= LIKE_CENTRE
    return of[kept], rows[kept], near[kept]


def _values_of_groups(sketches: npt.NDArray[np.uint32], of: Ints) -> tuple[npt.NDArray[np.uint32], Ints]:
    """The values that rows of groups have, in order, and the groups; of each value the _MOST_GROUPS largest ones."""
    values, whose = sketches.ravel(), np.repeat(of, LOWEST)
    order = np.lexsort((whose, values))
    order = order[values[order] > 0]  # a sketch of fewer values ends in zeros
    values, whose = values[order], whose[order]
    new = np.append(True, (values[1:] != values[:-1]) | (whose[1:] != whose[:-1]))[: len(values)]
    values, whose = values[new], whose[new]
    kept = np.arange(len(values)) - np.searchsorted(values, values) < _MOST_GROUPS
    return values[kept], whose[kept]


def _links(texts: Texts) -> tuple[Ints, Ints]:
    """Pairs of similar rows of different accounts."""
    pairs = [_neighbours(texts.sketches, *chosen) for chosen in combinations(range(LOWEST), 2)]
    ones, others = (np.concatenate(side) for side in zip(*pairs, strict=True))
    kept = texts.accounts[ones] != texts.accounts[others]
    ones, others = ones[kept], others[kept]
    kept = texts.similarity(ones, others) >= LINKED
    return ones[kept], others[kept]


def _neighbours(sketches: npt.NDArray[np.uint32], first: int, second: int) -> tuple[Ints, Ints]:
    """Pairs of rows that agree in these two values, and are next to each other in the order of a third."""
    values = sketches.astype(np.uint64)
    third = next(n for n in range(LOWEST) if n not in (first, second))
    mixed = (values[:, first] * np.uint64(0x9E3779B97F4A7C15) + values[:, second]) * np.uint64(0xD6E8FEB86659FD93)
    keys = mixed >> np.uint64(24) << np.uint64(24) | values[:, third] >> np.uint64(8)
    order = np.argsort(keys)
    order = order[values[order, second] > 0]  # a sketch of fewer values ends in zeros
    group = keys[order] >> np.uint64(24)
    found = [np.flatnonzero(group[step:] == group[:-step]) for step in range(1, _NEIGHBOURS + 1)]
    return (
        order[np.concatenate(found)],
        order[np.concatenate([at + step for step, at in enumerate(found, 1)])],
    )


def _labels(count: int, ones: Ints, others: Ints) -> Ints:
    """The group of each of `count` rows, by its lowest row."""
    labels = np.arange(count)
    while True:
        low = np.minimum(labels[ones], labels[others])
        before = labels.copy()
        np.minimum.at(labels, ones, low)
        np.minimum.at(labels, others, low)
        labels = labels[labels]
        if np.array_equal(labels, before):
            return labels
