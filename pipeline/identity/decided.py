"""What stewards decided so far, and what is made of it for the graph: a command costs what it changes, not what there was."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

import polars as pl

from pipeline.identity.commands import (
    HAND_COLUMNS,
    Decisions,
    Touched,
    consents,
    decisions_of,
    hand_edges,
    touched_by,
    touched_by_erasing,
)
from schemas.identity import EDGE_COLUMNS, Command

_EVIDENCE = ("kind", "type", "a", "b", "a_platform", "b_platform", "basis", "at", "held")
ROWS = {"edge": pl.UInt64(), **{name: EDGE_COLUMNS[name] for name in _EVIDENCE}, **HAND_COLUMNS}
"""What the graph keeps of evidence."""


class Decided:
    """All commands. What it says of them nobody changes."""

    def __init__(self) -> None:
        self.commands: dict[int, Command] = {}
        """By sequence."""
        self.decisions = Decisions()
        self.hand = pl.DataFrame(schema=ROWS)
        """The links by hand."""
        self.consents = consents(self.decisions, ())

    def copied(self) -> Decided:
        """Another one: what it takes changes this one in nothing."""
        other = copy(self)
        other.commands = dict(self.commands)
        return other

    def take(self, commands: Iterable[Command]) -> Touched:
        """Adds commands, in any order; those whose sequence is known are. Returns what they may change."""
        new = {command.sequence: command for command in commands if command.sequence not in self.commands}
        touched = touched_by(new.values())
        if new:
            later, before = min(new) > max(self.commands, default=0), self.decisions
            self.commands |= new
            self.decisions = before.with_later(new.values()) if later else decisions_of(self.commands.values())
            erased = {command.a for command in self.commands.values() if command.action == "erase"}
            if erased and (not later or any(command.action == "erase" for command in new.values())):
                touched = touched_by_erasing(erased, touched, before, self.decisions)
        if touched.links:
            standing = {pair: self.decisions.links[pair] for pair in touched.links if pair in self.decisions.links}
            self.hand = pl.concat([_without(self.hand, "edge", touched.links.values()), _hand_rows(Decisions(links=standing))])
        if touched.profiles:
            others = _without(self.consents, "profile", touched.profiles)
            self.consents = pl.concat([others, consents(self.decisions, touched.profiles)])
        return touched


def _hand_rows(decisions: Decisions) -> pl.DataFrame:
    return hand_edges(decisions).select(list(ROWS))


def _without(rows: pl.DataFrame, column: str, keys: Iterable[int]) -> pl.DataFrame:
    return rows.filter(~pl.col(column).is_in(pl.Series(list(keys), dtype=pl.UInt64).implode()))
