"""Similar texts: clusters of rows whose texts share most of their 3-character pieces with the cluster's common text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

SKETCH = 8
"""Values of a sketch."""
SHORTEST = 20
"""Characters, links and handles aside: many accounts write the same shorter text without any plan."""
ALIKE, SAME = 0.45, 0.62
"""Jaccard similarity of 3-character pieces: of two texts that may be of one campaign, and of one to the pieces that the
campaign's texts have in common. With 5 edits in 100 characters each they are at least 0.52 and 0.71 (1,500 campaigns of 10)."""
NEAR, MOST_NEAR = 2, 64
"""NEAR: sketch values that a text must share with the candidate centre to be compared with it. MOST_NEAR: how many texts are
compared at most."""
MOST_TRIES = 1_000

_IGNORED = r"(?:https?://\S+|www\.\S+|@\w+|\s)+"
Array = npt.NDArray[np.int64]


def matrix(sketches: pl.Series) -> npt.NDArray[np.uint64]:
    """A row for each sketch, its values in order, zeros behind them."""
    padded = sketches.list.unique(maintain_order=True).list.eval(pl.element().cast(pl.UInt64))
    columns = [padded.list.get(n, null_on_oob=True).fill_null(0).to_numpy() for n in range(SKETCH)]
    return np.column_stack(columns).astype(np.uint64)


def support_of(sketches: npt.NDArray[np.uint64]) -> Array:
    """Of each row, how many rows at most agree with it in the same four values. Unlike texts that share a long word agree in
    fewer."""
    mixed = sketches * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    chosen = list(combinations(range(SKETCH), 4))
    fours = np.concatenate([mixed[:, a] + 3 * mixed[:, b] + 5 * mixed[:, c] + 7 * mixed[:, d] for a, b, c, d in chosen])
    whole = np.flatnonzero(np.concatenate([sketches[:, d] != 0 for *_, d in chosen]))
    _, inverse, counts = np.unique(fours[whole], return_inverse=True, return_counts=True)
    support = np.zeros(len(sketches), dtype=np.int64)
    np.maximum.at(support, whole % len(sketches), counts[inverse])
    return support


def readable(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with their texts as they are compared, without those that are too short."""
    text = pl.col("text").str.to_lowercase().str.replace_all(_IGNORED, " ").str.strip_chars()
    return rows.with_columns(text).filter(pl.col("text").str.len_chars() >= SHORTEST)


class _Pieces:
    """The 3-character pieces of texts, each once a text, as numbers from 0 on."""

    def __init__(self, texts: Sequence[str]) -> None:
        letters = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        lengths = np.array([len(text) - 2 for text in texts])
        starts = np.cumsum(lengths + 2) - lengths - 2
        rows = np.repeat(np.arange(len(texts)), lengths)
        at = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[rows]
        pieces = letters[at] << 42 | letters[at + 1] << 21 | letters[at + 2]
        distinct, inverse = np.unique(pieces, return_inverse=True)
        self.count = len(distinct)
        both = np.sort(rows * self.count + inverse)
        both = both[np.diff(both, prepend=-1) != 0]
        self._rows, self._ids = np.divmod(both, self.count)
        self.sizes = np.bincount(self._rows, minlength=len(texts))
        self._ends = np.cumsum(self.sizes)
        self._wanted = np.zeros(self.count, dtype=np.int64)

    def of(self, row: int) -> Array:
        return np.asarray(self._ids[self._ends[row] - self.sizes[row] : self._ends[row]])

    def common(self, rows: Array) -> Array:
        """The pieces that at least half of these texts have."""
        wanted = np.zeros(len(self.sizes), dtype=bool)
        wanted[rows] = True
        texts = np.bincount(self._ids[wanted[self._rows]], minlength=self.count)
        return np.asarray(np.flatnonzero(texts * 2 >= len(rows)))

    def similarity(self, pieces: Array, rows: Array) -> Array:
        """Jaccard similarity of each of these texts to the pieces."""
        self._wanted[pieces] = 1
        sizes = self.sizes[rows]
        starts = np.cumsum(sizes) - sizes
        indices = np.arange(sizes.sum()) + np.repeat(self._ends[rows] - sizes - starts, sizes)
        both = np.add.reduceat(self._wanted[self._ids[indices]], starts)
        self._wanted[pieces] = 0
        return np.asarray(both / (sizes + len(pieces) - both))


def clusters(rows: pl.DataFrame, accounts: int) -> Iterator[tuple[Array, Array]]:
    """Clusters of similar rows (by index) from at least `accounts` accounts, with the similarity to their common text."""
    if rows.height < accounts:
        return
    pieces, authors = _Pieces(rows.get_column("text").to_list()), rows.get_column("account").to_numpy()
    sketches = matrix(rows.get_column("text_sketch"))
    values, ids = np.unique(sketches, return_inverse=True)
    ids = ids.reshape(sketches.shape)
    support = support_of(sketches)
    free, tries = np.ones(rows.height, dtype=bool), 0
    for row in np.argsort(-support, kind="stable"):
        if support[row] < 2 or tries == MOST_TRIES:
            return
        if not free[row]:
            continue
        tries += 1
        own = np.zeros(len(values), dtype=bool)
        own[ids[row, sketches[row] > 0]] = True
        shared = own[ids].sum(axis=1)
        near = np.flatnonzero(free & (shared >= NEAR))
        near = near[np.argsort(-shared[near], kind="stable")[:MOST_NEAR]]
        if len(near) * 2 < accounts:
            continue
        alike = near[pieces.similarity(pieces.of(row), near) >= ALIKE]
        if len(alike) * 2 < accounts:
            continue
        left = np.flatnonzero(free)
        nearness = pieces.similarity(pieces.common(alike), left)
        members = left[nearness >= SAME]
        if len(np.unique(authors[members])) >= accounts:
            free[members] = False
            yield members, nearness[nearness >= SAME]
