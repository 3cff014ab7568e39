"""Rows: a large table of which few rows change at a time, found by key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

_FEW = 10_000
_SHARE = 16
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.uint32]


class _Index(NamedTuple):
    """The rows by one column."""

    keys: npt.NDArray[np.uint64]
    """Sorted."""
    places: Places
    """The row of each."""

    def span(self, keys: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where each key begins and ends."""
        wanted = keys.to_numpy()
        return np.searchsorted(self.keys, wanted, "left"), np.searchsorted(self.keys, wanted, "right")

    def find(self, keys: pl.Series, most: int | None = None) -> Places:
        """The rows with one of these keys, which differ; `most` of each at most."""
        first, end = self.span(keys)
        if most is not None:
            end = np.minimum(end, first + most)
        counts = end - first
        return self.places[np.repeat(end - np.cumsum(counts), counts) + np.arange(counts.sum())]

    def renewed(self, kept: Mask, more: npt.NDArray[np.uint64]) -> _Index:
        """The index of the rows that are kept, and of more after them."""
        places = np.cumsum(kept, dtype=np.uint32) - np.uint32(1)
        stay = kept[self.places]
        keys, order = self.keys[stay], np.argsort(more)
        at = np.searchsorted(keys, more[order])
        added = (order + int(kept.sum())).astype(np.uint32)
        return _Index(np.insert(keys, at, more[order]), np.insert(places[self.places[stay]], at, added))


class Rows:
    """Rows are found by the columns of keys, taken out, and added; their order is lost. A key that is null is 0.

    What was added lately is a small frame of its own, and what was taken out is marked: the rest is copied only once they are
    a sixteenth of it. `copy.copy` gives another one, at no cost; neither changes the other.
    """

    def __init__(self, rows: pl.DataFrame, columns: Iterable[str]) -> None:
        """`columns`: those of keys, UInt64. `rows`: none, to begin with."""
        assert rows.is_empty()
        self._rest = self._late = rows
        self._gone = np.zeros(0, dtype=np.bool_)
        """Which rows of `_rest` are not there any more."""
        self._index = {name: _Index(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint32)) for name in columns}

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self._rest.height - int(self._gone.sum()) + self._late.height

    def all(self) -> pl.DataFrame:
        """All of them."""
        return pl.concat([self._rest.filter(pl.Series(~self._gone)), self._late])

    def where(self, condition: pl.Expr) -> pl.DataFrame:
        """Those for which it holds. It reads the whole table."""
        found: Places = self._rest.select(condition.arg_true()).to_series().to_numpy()
        return pl.concat([self._rest[found[~self._gone[found]]], self._late.filter(condition)])

    def having(self, column: str, keys: pl.Series, among: pl.Expr | None = None) -> pl.DataFrame:
        """Those with one of these keys in a column; `among`: for which that holds, too. Of the others no more is read."""
        places, late = self._places(column, keys), self._late.filter(is_one_of(column, keys))
        if among is not None:
            there = self._rest.select(set(among.meta.root_names()))[places].select(among.alias("there")).to_series()
            places, late = places[there.fill_null(False).to_numpy()], late.filter(among)
        return pl.concat([self._rest[places], late])

    def crowded(self, column: str, keys: pl.Series, most: int) -> pl.Series:
        """Those of the keys, which differ, that more rows than `most` had, rows that came lately apart."""
        first, end = self._index[column].span(keys)
        return keys.filter(pl.Series(end - first > most))

    def some(self, column: str, keys: pl.Series, most: int) -> pl.DataFrame:
        """Up to `most` rows of each key, rows that came lately apart."""
        found = self._index[column].find(keys.unique(), most)
        return self._rest[found[~self._gone[found]]]

    def pop(self, column: str, keys: pl.Series) -> pl.DataFrame:
        """Takes out those with one of these keys in a column, and returns them."""
        places = self._places(column, keys)
        taken = pl.concat([self._rest[places], self._late.filter(is_one_of(column, keys))])
        if len(places):
            self._gone = self._gone.copy()
            self._gone[places] = True
        self._late = self._late.filter(~is_one_of(column, keys))
        return taken

    def add(self, rows: pl.DataFrame) -> None:
        """Adds rows with the same columns."""
        self._late = pl.concat([self._late, rows], rechunk=True)
        if self._late.height + int(self._gone.sum()) > max(_FEW, self._rest.height // _SHARE):
            kept = ~self._gone
            self._index = {name: index.renewed(kept, self._numbers(name)) for name, index in self._index.items()}
            self._rest, self._late = self.all().rechunk(), self._late.clear()
            self._gone = np.zeros(self._rest.height, dtype=np.bool_)

    def _numbers(self, column: str) -> npt.NDArray[np.uint64]:
        return self._late.get_column(column).fill_null(0).to_numpy()

    def _places(self, column: str, keys: pl.Series) -> Places:
        found = self._index[column].find(keys.unique())
        return found[~self._gone[found]]


def is_one_of(column: str, keys: pl.Series) -> pl.Expr:
    """Whether a column has one of the keys; null is 0."""
    return pl.col(column).fill_null(0).is_in(keys.implode())
