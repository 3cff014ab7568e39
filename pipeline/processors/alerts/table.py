"""Scopes, and the row of each in the arrays of its slice.

A scope without mentions for a while gives its row away, and no more than `MOST_SCOPES` have one: events decide how many brands
there are. Names that no rule can be about get no row, and those that never mattered to a rule lose theirs first.

Cost: some 450 bytes a scope.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.config.zone import NO_ZONES, UTC, Zones
from pipeline.processors.alerts.counts import Slice
from schemas.alerts import Scope

MOST_SCOPES = 120_000
"""Of all slices together: 10,000 brands on 8 platforms, counted as a whole and by platform, are 90,000."""
NONE = -1
"""The row of a scope that has none."""
FOR_GOOD = np.iinfo(np.int64).max
"""For `take_in`: the scope keeps its row, whether it has mentions or not."""
_ON = ("brand", "platform", "language")

Rows = npt.NDArray[np.int64]


class ScopeLimit:
    """How many scopes the tables that share it may still take in."""

    def __init__(self, most: int = MOST_SCOPES) -> None:
        self.most = self.left = most
        self.left_out = 0
        """How often there was no room for a scope, or a scope that mattered had to go. The reader sets it back to 0."""

    @property
    def taken(self) -> int:
        return self.most - self.left

    @property
    def is_short(self) -> bool:
        return self.left < self.most // 20


class CountTable:
    """The scopes of a slice. `brands`: the brands of its rules; None: all. `named`: the brands that a rule names. `zones`: the
    time zones of brands."""

    def __init__(
        self,
        slice_: Slice,
        room: ScopeLimit | None = None,
        brands: Collection[str] | None = None,
        named: Collection[str] = (),
        zones: Zones = NO_ZONES,
    ) -> None:
        self.slice = slice_
        self._room = room or ScopeLimit()
        self._brands = None if brands is None else frozenset(brands)
        self._named = frozenset(named)
        self.scopes: list[Scope] = []
        """By row; a row that was given away still has its last scope until another one takes it."""
        self.heard: Rows = np.zeros(0, np.int64)
        """By row: the newest minute with a mention."""
        self.begun: Rows = np.zeros(0, np.int64)
        """By row: the oldest minute with a mention; before it, no mention is not too little."""
        self.mattered: npt.NDArray[np.bool_] = np.zeros(0, bool)
        """By row: a rule names its brand, or it had as many mentions once as a rule asks for."""
        self._number_zones(zones)
        self._rows: dict[Scope, int] = {}
        self._of_brand: dict[str, tuple[int, ...]] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """The length of an array with an element for every row."""
        return len(self.scopes)

    def use_zones(self, zones: Zones) -> Rows:
        """The brands' zones are these from now on. Returns the rows whose zone is another now."""
        if zones == self.zones:
            return np.zeros(0, np.int64)
        before = self._zone_names()
        self._number_zones(zones)
        return np.flatnonzero(before != self._zone_names())

    def _number_zones(self, zones: Zones) -> None:
        self.zones = zones
        self._zones = [UTC, *sorted(set(zones.values()) - {UTC})]
        numbers = {zone: number for number, zone in enumerate(self._zones)}
        self._zone_of = {brand: numbers[zone] for brand, zone in zones.items()}
        self._zone = np.array([self._zone_of.get(scope.brand, 0) for scope in self.scopes], np.int64)

    def _zone_names(self) -> npt.NDArray[np.object_]:
        return np.array(self._zones, np.object_)[self._zone]

    def by_zone(self, rows: Rows) -> list[tuple[str, Rows]]:
        """The rows of each zone."""
        numbers = self._zone[rows]
        return [(self._zones[number], rows[numbers == number]) for number in np.unique(numbers)]

    def wanted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the frame that a rule can be about."""
        return frame if self._brands is None else frame.filter(pl.col("brand").is_in(list(self._brands)))

    def rows(self, frame: pl.DataFrame, minutes: Rows) -> Rows:
        """The row of each (brand, platform, language) of the frame, with mentions in these minutes. A new scope gets a row
        while there is room, else NONE."""
        keys = frame.select(_ON)
        scopes = keys.unique(maintain_order=True)
        rows: Rows = np.array([self._row(Scope(*key)) for key in scopes.iter_rows()], np.int64)
        if scopes.height < keys.height:
            numbered = scopes.with_columns(row=pl.Series(rows))
            rows = keys.join(numbered, on=_ON, how="left", maintain_order="left").get_column("row").to_numpy()
        self._hear(rows, minutes)
        return rows

    def take_in(self, scopes: Iterable[Scope], heard: int) -> None:
        """Gives these scopes rows while there is room, as if each had a mention at minute `heard`, and others before."""
        rows = np.array([self._row(scope) for scope in scopes], np.int64)
        self._hear(rows, np.full(len(rows), heard, np.int64))
        self.begun[rows[rows != NONE]] = 0

    def find(self, scopes: Iterable[Scope]) -> Rows:
        """The row of each scope; NONE: unknown."""
        return np.array([self._rows.get(scope, NONE) for scope in scopes], np.int64)

    def known(self) -> Rows:
        return np.sort(np.fromiter(self._rows.values(), np.int64, len(self._rows)))

    def of_brands(self, brands: Iterable[str]) -> Rows:
        return np.array([row for brand in brands for row in self._of_brand.get(brand, ())], np.int64)

    def mask(self, brands: Iterable[str], scopes: Iterable[Scope]) -> npt.NDArray[np.bool_]:
        """By row: whether it is of one of these brands or scopes."""
        rows = np.append(self.of_brands(brands), self.find(scopes)).astype(np.int64)
        mask = np.zeros(len(self), bool)
        mask[rows[rows != NONE]] = True
        return mask

    def quiet(self, before: int, but: Iterable[Scope] = ()) -> Rows:
        """The rows without a mention since this minute, but for those of some scopes."""
        rows = self.known()
        return np.setdiff1d(rows[self.heard[rows] < before], self.find(but))

    def release(self, rows: Rows) -> None:
        """Gives these rows away, after every array has dropped its values there."""
        for row in rows.tolist():
            scope = self.scopes[row]
            del self._rows[scope]
            left = tuple(other for other in self._of_brand[scope.brand] if other != row)
            if left:
                self._of_brand[scope.brand] = left
            else:
                del self._of_brand[scope.brand]
        self._free += rows.tolist()
        self._room.left += len(rows)

    def _row(self, scope: Scope) -> int:
        row = self._rows.get(scope, NONE)
        return self._take_in(scope) if row == NONE else row

    def _hear(self, rows: Rows, minutes: Rows) -> None:
        self._grow()
        known = rows != NONE
        np.maximum.at(self.heard, rows[known], minutes[known])
        np.minimum.at(self.begun, rows[known], minutes[known])

    def _grow(self) -> None:
        if new := self.scopes[len(self.heard) :]:
            self.heard = np.append(self.heard, np.zeros(len(new), np.int64))
            self.begun = np.append(self.begun, np.full(len(new), FOR_GOOD))
            self.mattered = np.append(self.mattered, np.array([scope.brand in self._named for scope in new]))
            self._zone = np.append(self._zone, [self._zone_of.get(scope.brand, 0) for scope in new])

    def _take_in(self, scope: Scope) -> int:
        if not self._room.left:
            self._room.left_out += 1
            return NONE
        self._room.left -= 1
        scope = Scope(*map(sys.intern, scope))
        if self._free:
            row = self._free.pop()
            self.scopes[row] = scope
            self.heard[row], self.begun[row], self.mattered[row] = 0, FOR_GOOD, scope.brand in self._named
            self._zone[row] = self._zone_of.get(scope.brand, 0)
        else:
            row = len(self.scopes)
            self.scopes.append(scope)
        self._rows[scope] = row
        self._of_brand[scope.brand] = (*self._of_brand.get(scope.brand, ()), row)
        return row


def longest_silent(tables: Sequence[CountTable], candidates: Sequence[Rows], most: int) -> list[Rows]:
    """The `most` of these rows, of all tables together, whose last mention is oldest; by table."""
    rows = np.concatenate(candidates)
    of = np.repeat(np.arange(len(tables)), [len(each) for each in candidates])
    heard = np.concatenate([table.heard[each] for table, each in zip(tables, candidates, strict=True)])
    first = np.argsort(heard, kind="stable")[:most]
    return [rows[first[of[first] == number]] for number in range(len(tables))]
