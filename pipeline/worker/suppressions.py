"""What a worker knows of table suppressions: all of it at the start, and then what is new each time that it asks.

Several processes write the table, so its `sequence` is the server's clock, and rows become visible somewhat out of order: each
question goes back by more than an insert may take. Now and then everything is read again: a clock may have been set back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import polars as pl

from pipeline.clock import Clock, steady
from pipeline.processors.privacy import Pseudonymise
from schemas.erasures import Keys
from schemas.hashes import STORED

BACK_MS = 15_000
"""An insert takes 5 s at most (pipeline/fence.py)."""
WHOLE_S = 300.0
_ROWS = "SELECT toString(kind) AS kind, key, value, erasure, sequence, is_deleted FROM suppressions"
_KEY = ("kind", "key", "value", "erasure")
Kind = Literal["account", "value", "event"]


class Suppressions:
    """Keeps whose events step `privacy` drops as the table is, with the hashes of earlier keys raised. `query` runs SQL;
    whatever it raises, everything stays as it was. For one thread."""

    def __init__(self, query: Callable[[str], pl.DataFrame], privacy: Pseudonymise, clock: Clock = steady) -> None:
        self._query, self._suppressed, self._hashes, self._clock = query, privacy.suppressed, privacy.hashes, clock
        self._newest = self._lifted = 0
        self._whole_at = 0.0

    @property
    def since(self) -> int:
        """Rows with a higher sequence may be new."""
        return max(0, self._newest - BACK_MS)

    @property
    def old(self) -> bool:
        """Whether everything is to be read again."""
        return self._clock() >= self._whole_at + WHOLE_S

    def load(self) -> None:
        """Everything: what was lifted is not suppressed any more."""
        begun = self._clock()
        rows = self._query(f"{_ROWS} FINAL")
        self._suppressed.replace(self._keys(rows))
        self._note(rows)
        self._lifted = max(self._lifted, self._newest)
        self._whole_at = begun

    def ask(self) -> None:
        """What is new."""
        if self.old:
            return self.load()
        rows = self._query(f"{_ROWS} WHERE sequence > {self.since}")
        rows = rows.sort("sequence").unique(_KEY, keep="last")
        lifted = rows.filter(is_deleted=1).get_column("sequence").max()
        if isinstance(lifted, int) and lifted > self._lifted:
            self._lifted = lifted
            return self.load()  # another erasure may still suppress the key
        if rows.height:
            self._suppressed.put(self._keys(rows.filter(is_deleted=0)))
            self._note(rows)
        return None

    def _note(self, rows: pl.DataFrame) -> None:
        newest = rows.get_column("sequence").max()
        self._newest = max(self._newest, newest if isinstance(newest, int) else 0)

    def _keys(self, rows: pl.DataFrame) -> Keys:
        """As columns: a million numbers take a second to become a list and an array again."""

        def of(kind: Kind, column: str) -> pl.Series:
            return rows.filter(kind=kind).get_column(column)

        accounts, values, events = of("account", "key"), of("value", "value"), of("event", "key")
        plain = rows.filter(kind="account", value="").get_column("key")  # another erasure may have the handle's account itself
        handles = rows.filter((pl.col("kind") == "account") & ~pl.col("key").is_in(plain.implode()))
        given = self._hashes(STORED, values.to_list()) if len(values) else []
        return Keys(accounts, given, events, frozenset(handles.get_column("key")))  # type: ignore[arg-type]
