"""What stewards decided: all commands, in the order of their sequence, as one state."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.identity import EDGE_COLUMNS, TYPES, Command, edge_keys

Pair = tuple[int, int]

HAND_COLUMNS = {"sequence": pl.UInt64(), "confirmed": pl.Boolean()}
"""What rows of links by hand have besides EDGE_COLUMNS."""
CONSENT_COLUMNS = {"profile": pl.UInt64(), "type": EDGE_COLUMNS["type"], "consent": pl.Boolean()}


@dataclass(frozen=True, slots=True)
class Columns:
    """Decisions as evidence is judged by them."""

    nevers: npt.NDArray[np.uint64]
    """The pairs, a row each."""
    splits: dict[int, list[Command]]
    """By profile a, in the order of their sequence."""
    split: pl.Series
    """The profiles that have any. This and what follows is as `is_in` takes it."""
    accepted: pl.Series
    rejected: pl.Series


@dataclass(slots=True)
class Decisions:
    """The state after all commands. Equal states give equal customers, so what undoes a command undoes it exactly."""

    links: dict[Pair, Command] = field(default_factory=dict)
    """Links by hand, by the pair in its order of keys."""
    nevers: dict[Pair, int] = field(default_factory=dict)
    """The sequence of the command that keeps the pair apart."""
    splits: dict[int, Command] = field(default_factory=dict)
    """By sequence."""
    consents: dict[tuple[int, str], tuple[int, bool]] = field(default_factory=dict)
    """By profile and type (blank: all), the newest: its sequence, whether consent is given."""
    verdicts: dict[int, bool] = field(default_factory=dict)
    """By edge: accepted or rejected."""
    released: int = 0
    """The sequence of the newest release."""
    _columns: Columns | None = field(default=None, compare=False, repr=False)

    def take(self, command: Command) -> None:
        """The next command in the order of sequence."""
        self._columns = None
        pair = _pair(command)
        match command.action:
            case "link":
                self.links[pair] = command
            case "unlink":
                self.links.pop(pair, None)
            case "never":
                self.nevers[pair] = command.sequence
            case "lift":
                self._lift(pair)
            case "split":
                self.splits[command.sequence] = command
            case "consent" | "withdraw":
                self.consents[command.a, command.type] = command.sequence, command.action == "consent"
            case "accept" | "reject":
                self.verdicts[command.a] = command.action == "accept"
            case "release":
                self.released = command.sequence
            case "erase":
                self._erase(command.a)

    def profiles(self) -> set[int]:
        """Those that a decision is about."""
        named = {profile for pair in (*self.links, *self.nevers) for profile in pair}
        return named | {split.a for split in self.splits.values()} | {profile for profile, _ in self.consents}

    def columns(self) -> Columns:
        """They are made once: every piece of evidence asks for them."""
        if self._columns is None:
            splits: dict[int, list[Command]] = {}
            for _, split in sorted(self.splits.items()):
                splits.setdefault(split.a, []).append(split)
            nevers = np.array(list(self.nevers), dtype=np.uint64).reshape(-1, 2)
            accepted = _keys(edge for edge, verdict in self.verdicts.items() if verdict)
            rejected = _keys(edge for edge, verdict in self.verdicts.items() if not verdict)
            self._columns = Columns(nevers, splits, _keys(splits), accepted, rejected)
        return self._columns

    def with_later(self, commands: Iterable[Command]) -> Decisions:
        """The state after `commands` too, all of which come later; this one stays as it is."""
        after = Decisions(
            dict(self.links), dict(self.nevers), dict(self.splits), dict(self.consents), dict(self.verdicts), self.released
        )
        for command in sorted(commands, key=lambda command: command.sequence):
            after.take(command)
        return after

    def _erase(self, profile: int) -> None:
        self.links = {pair: link for pair, link in self.links.items() if profile not in pair}
        self.nevers = {pair: sequence for pair, sequence in self.nevers.items() if profile not in pair}
        self.splits = {sequence: split for sequence, split in self.splits.items() if split.a != profile}
        self.consents = {key: consent for key, consent in self.consents.items() if key[0] != profile}

    def _lift(self, pair: Pair) -> None:
        splits = [sequence for sequence, split in self.splits.items() if _pair(split) == pair]
        newest = max(splits, default=0)
        if newest > self.nevers.get(pair, 0):
            del self.splits[newest]
        else:
            self.nevers.pop(pair, None)


def decisions_of(commands: Iterable[Command]) -> Decisions:
    """The state after `commands`, which may come in any order."""
    return Decisions().with_later(commands)


def _keys(keys: Iterable[int]) -> pl.Series:
    return pl.Series(list(keys), dtype=pl.UInt64).implode()


def _pair(command: Command) -> Pair:
    return min(command.a, command.b), max(command.a, command.b)


def hand_edges(decisions: Decisions) -> pl.DataFrame:
    """The links by hand, as rows with EDGE_COLUMNS, `edge` and HAND_COLUMNS."""
    rows = [
        ("profile", c.a, c.b, "hand", c.a_platform, c.b_platform, "hand", 0, "given", c.at, 0, 0, c.sequence, c.confirmed)
        for c in decisions.links.values()
    ]
    frame = pl.DataFrame(rows, schema={**EDGE_COLUMNS, **HAND_COLUMNS}, orient="row")
    return frame.with_columns(edge_keys(frame).alias("edge"))


def consents(decisions: Decisions, profiles: Iterable[int]) -> pl.DataFrame:
    """CONSENT_COLUMNS: whether consent is given or withdrawn, of these profiles by type; what nobody decided is not there."""
    nobody = (0, False)
    rows = []
    for profile in profiles:
        of_all = decisions.consents.get((profile, ""), nobody)
        for type_ in TYPES:
            sequence, given = max(of_all, decisions.consents.get((profile, type_), nobody))
            rows += [(profile, type_, given)] if sequence else []
    return pl.DataFrame(rows, schema=CONSENT_COLUMNS, orient="row")


@dataclass(frozen=True, slots=True)
class Touched:
    """What may be different after some commands."""

    profiles: frozenset[int]
    edges: frozenset[int]
    links: dict[Pair, int]
    """The pairs that may be linked by hand now, or not any more, and the edge of each."""
    released: bool
    """A release came."""


def touched_by(commands: Iterable[Command]) -> Touched:
    """What these commands, all others being equal, may change: it costs as much as there are of these."""
    profiles, verdicts, links, released = set[int](), set[int](), dict[Pair, Command](), False
    for command in commands:
        match command.action:
            case "link" | "unlink":
                links[_pair(command)] = command
            case "never" | "lift":
                profiles |= {command.a, command.b}
            case "split" | "consent" | "withdraw" | "erase":
                profiles.add(command.a)
            case "accept" | "reject":
                verdicts.add(command.a)
            case "release":
                released = True
    profiles.update(profile for pair in links for profile in pair)
    edges = dict(zip(links, hand_edges(Decisions(links=links)).get_column("edge"), strict=True)) if links else {}
    return Touched(frozenset(profiles), frozenset(verdicts.union(edges.values())), edges, released)


def touched_by_erasing(profiles: Collection[int], touched: Touched, *states: Decisions) -> Touched:
    """`touched`, and what of these states, before and after, is about profiles that were erased."""
    links = {pair: link for state in states for pair, link in state.links.items() if not _free_of(pair, profiles)}
    nevers = {pair for state in states for pair in state.nevers if not _free_of(pair, profiles)}
    edges = dict(zip(links, hand_edges(Decisions(links=links)).get_column("edge"), strict=True)) if links else {}
    named = touched.profiles.union(profile for pair in (*links, *nevers) for profile in pair)
    return Touched(named, touched.edges.union(edges.values()), touched.links | edges, touched.released)


def _free_of(pair: Pair, profiles: Collection[int]) -> bool:
    """Whether none of the profiles is in the pair."""
    return pair[0] not in profiles and pair[1] not in profiles
