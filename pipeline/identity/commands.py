"""What stewards decided: all commands, in the order of their sequence, as one state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from schemas.identity import EDGE_COLUMNS, TYPES, Command, edge_keys

Pair = tuple[int, int]

HAND_COLUMNS = {"sequence": pl.UInt64(), "confirmed": pl.Boolean()}
"""What rows of links by hand have besides EDGE_COLUMNS."""
CONSENT_COLUMNS = {"profile": pl.UInt64(), "type": EDGE_COLUMNS["type"], "consent": pl.Boolean()}


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

    def take(self, command: Command) -> None:
        """The next command in the order of sequence."""
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

    def _lift(self, pair: Pair) -> None:
        splits = [sequence for sequence, split in self.splits.items() if _pair(split) == pair]
        newest = max(splits, default=0)
        if newest > self.nevers.get(pair, 0):
            del self.splits[newest]
        else:
            self.nevers.pop(pair, None)


def decisions_of(commands: Iterable[Command]) -> Decisions:
    """The state after `commands`, which may come in any order."""
    state = Decisions()
    for command in sorted(commands, key=lambda command: command.sequence):
        state.take(command)
    return state


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


def consents(decisions: Decisions) -> pl.DataFrame:
    """CONSENT_COLUMNS: whether consent is given or withdrawn, by profile and type; what nobody decided is not there."""
    newest: dict[tuple[int, str], tuple[int, bool]] = {}
    for (profile, type_), decision in decisions.consents.items():
        for one in [type_] if type_ else TYPES:
            newest[profile, one] = max(decision, newest.get((profile, one), (0, False)))
    rows = [(profile, type_, given) for (profile, type_), (_, given) in newest.items()]
    return pl.DataFrame(rows, schema=CONSENT_COLUMNS, orient="row")


@dataclass(frozen=True, slots=True)
class Touched:
    """What may have changed between two states: profiles, edges, whether a release came."""

    profiles: frozenset[int]
    edges: frozenset[int]
    released: bool


def between(before: Decisions, after: Decisions) -> Touched:
    """What differs. It costs as much as there are decisions."""
    links = dict(before.links.items() ^ after.links.items())
    pairs = list(links)
    pairs += [pair for pair, _ in before.nevers.items() ^ after.nevers.items()]
    profiles = {profile for pair in pairs for profile in pair}
    profiles |= {split.a for _, split in before.splits.items() ^ after.splits.items()}
    profiles |= {profile for (profile, _), _ in before.consents.items() ^ after.consents.items()}
    edges = {edge for edge, _ in before.verdicts.items() ^ after.verdicts.items()}
    edges |= set(hand_edges(Decisions(links=links)).get_column("edge")) if links else set()
    return Touched(frozenset(profiles), frozenset(edges), before.released != after.released)
