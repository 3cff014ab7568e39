"""Edges and commands as they are on record, for people: what each says, and why it links nobody."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.identity.commands import decisions_of
from schemas.identity import Command

SHOWN = 100
"""Profiles of one value that are looked at."""
_VALUES = {"email": "e-mail address", "phone": "phone number", "page": "page", "login": "login"}


class Edge(NamedTuple):
    """An edge: of its rows the oldest."""

    key: int
    kind: str
    type: str
    a: int
    b: int
    rule: str
    basis: str
    at: datetime
    claimed: str
    """The handle that a claim names."""
    reason: str
    """Why it links nobody; blank: it links, or would if there were something to link with."""

    @property
    def is_value(self) -> bool:
        """It says that a has a value."""
        return self.kind == "value" and self.type != "handle"

    @property
    def bears(self) -> bool:
        """It says that a bears a handle, or is known."""
        return self.kind == "value" and self.type == "handle"

    @property
    def is_claim(self) -> bool:
        """It says that a names another profile as its own."""
        return self.kind == "profile" and self.type == "handle"

    def says(self) -> str:
        """What it says of a. An address or number is named by four digits of its key, so that two who share it are seen to."""
        if self.is_value:
            return f"{_VALUES.get(self.type, self.type)} {self.b:016x}"[:-12]
        if self.bears:
            return "bears the handle"
        if self.is_claim:
            return f"names {'@' + self.claimed if self.claimed else 'an account by its id'} in its {self.rule}"
        return f"{self.rule}: both are one person's"

    def line(self, other: str) -> str:
        """The same, with whom it links and what it rests on."""
        rests_on = ", ".join(part for part in (self.basis, f"{self.at:%Y-%m-%d}", self.reason) if part)
        return f"{self.says()}, with {other} ({rests_on})" if other else f"{self.says()} ({rests_on})"


def edges_at(query: Query, profiles: Iterable[int], values: Iterable[int] = ()) -> list[Edge]:
    """The edges at these profiles, and of these values, the oldest first; of each value SHOWN."""
    at = ", ".join(map(str, profiles))
    of = ", ".join(part for part in (at, ", ".join(map(str, values))) if part)
    where = " OR ".join(f"{column} IN ({listed})" for column, listed in (("a", at), ("b", of)) if listed)
    return _edges(query, where) if where else []


def edges_named(query: Query, keys: Iterable[int]) -> list[Edge]:
    """The edges with these keys."""
    listed = ", ".join(map(str, keys))
    return _edges(query, f"edge IN ({listed})") if listed else []


def _edges(query: Query, where: str) -> list[Edge]:
    rows = query(f"""
SELECT * FROM
(
    SELECT edge AS key, kind, type, a, b, rule, basis, at, claimed FROM identity_edges
    WHERE {where} ORDER BY edge, at LIMIT 1 BY edge
)
ORDER BY at, key LIMIT {SHOWN} BY kind, type, b""")
    listed = ", ".join(map(str, rows.get_column("key"))) or "0"
    reasons = dict(query(f"SELECT edge, reason FROM identity_queue FINAL WHERE edge IN ({listed})").iter_rows())
    return [Edge._make((*row, reasons.get(row[0], ""))) for row in rows.iter_rows()]


class Recorded(NamedTuple):
    """A command on record."""

    command: Command
    refused: str
    """Why it changed nothing; blank: it was done."""
    done_at: datetime

    @property
    def who(self) -> str:
        """Its number, who, when, why."""
        why = f": {self.command.why}" if self.command.why else ""
        return f"command {self.command.sequence} by {self.command.by}, {self.done_at:%Y-%m-%d %H:%M}{why}"


class Link(NamedTuple):
    """A link by hand that stands."""

    a: int
    b: int
    who: str

    def says(self, other: str) -> str:
        """With whom, by whom, when and why."""
        return f"linked by hand with {other} ({self.who})"


def recorded(query: Query, where: str = "1") -> list[Recorded]:
    """The commands, in their order."""
    names = list(Command.__slots__)
    columns = ", ".join("toUnixTimestamp64Milli(at) AS at_ms" if name == "at" else name for name in names)
    rows = query(f"SELECT {columns}, refused, done_at FROM identity_commands FINAL WHERE {where} ORDER BY sequence")
    return [Recorded(Command(*row[:-2]), *row[-2:]) for row in rows.iter_rows()]


def links_by_hand(query: Query) -> list[Link]:
    """Those that stand."""
    done = {each.command.sequence: each for each in recorded(query, "refused = ''")}
    standing = decisions_of(each.command for each in done.values()).links.values()
    return [Link(each.a, each.b, done[each.sequence].who) for each in standing]


def split_off(query: Query) -> list[Recorded]:
    """The splits that stand, in their order."""
    done = {each.command.sequence: each for each in recorded(query, "refused = '' AND action IN ('split', 'never', 'lift')")}
    return [done[sequence] for sequence in sorted(decisions_of(each.command for each in done.values()).splits)]
