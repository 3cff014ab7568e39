"""A place: a table or topic, what it holds of a person, and how the rows of a person are found in it.

Columns are named as SQL, so that a key may also be computed from several columns. One with `[]` behind it is an array: a row is
found if any of its keys is the person's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Erase = Literal["rows", "rebuilt", "graph", "letters", "retention", "none"]
"""How what is there of a person goes when the person is erased.

| rows | a lightweight DELETE of the rows that `where` finds |
| rebuilt | control makes it anew from `interactions`, whose rows have gone; rows that `where` finds are deleted besides |
| graph | by `earshot customers`, which has it in memory, too |
| letters | dead letters, by what their JSON says |
| retention | with time: a topic can't be searched |
| none | it stays; `goes` says why |
"""
Backup = Literal["kept", "rebuilt", "server"]
"""How a table comes back after the loss of ClickHouse.

| kept | `earshot backup` writes it: nothing else has it |
| rebuilt | a process, a file or `earshot migrate` makes it anew |
| server | by ClickHouse's own BACKUP: it is large, and follows from events |
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A table, or a topic without its prefix."""

    name: str
    topic: bool = False
    holds: str = ""
    """What of a person, in words; blank: nothing."""
    clear: str = ""
    """What of it is in clear; blank: nothing."""
    hashed: str = ""
    encrypted: str = ""
    digests: tuple[str, ...] = ()
    """Columns with hashes that `privacy.hash_key` made: with the next key they are raised (maintenance/rotation/)."""
    sealed: tuple[str, ...] = ()
    """Columns that `privacy.data_key` made: with the next key they are made anew."""
    kept: str
    """How long, in words; of a table of setting retention: how long without the setting."""
    erase: Erase
    goes: str = ""
    """How it goes, where `erase` does not say it all; of `none` why it stays."""
    backup: Backup | None = None
    """None: a topic, which no backup holds."""
    groups: tuple[str, ...] | None = None
    """Of a topic: Earshot's groups that read it, each by what stands behind setting kafka.group; `--topics delete` deletes what
    they have read. None: it deletes nothing there."""
    uncut: str = ""
    """Of a topic: why it deletes nothing there."""

    accounts: tuple[str, ...] = ()
    """Keys of accounts: a row with one of the person's is the person's."""
    events: tuple[str, ...] = ()
    """The same of events."""
    values: tuple[str, ...] = ()
    """The same of hashed addresses and numbers; of rows that no account wrote."""
    edges: tuple[str, ...] = ()
    """The same of edges of the graph."""
    conversations: tuple[str, ...] = ()
    """The same of conversations that the person opened, and in which nobody else but a brand said a word."""
    others: tuple[str, ...] = ()
    """Keys of accounts in rows of others: a row with one of the person's names the person, and is somebody else's."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """Columns whose names look like keys of persons, and that find nobody: why."""

    time: str = ""
    """The column that says when; blank: the row has no time."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """Of an export: column -> the SQL that stands for it, blank: it is left out. {accounts}, {events}: what IN takes."""

    @property
    def findable(self) -> bool:
        """Whether rows of a person can be found."""
        return bool(self.accounts or self.events or self.values or self.edges or self.conversations)


class Sets(NamedTuple):
    """The keys of a person as IN takes them: literals with commas between, or a SELECT of one column; blank: none."""

    accounts: str = ""
    events: str = ""
    values: str = ""
    edges: str = ""
    conversations: str = ""


def where(place: Place, sets: Sets) -> str:
    """SQL: the condition that holds for the rows of the person; `0`: there are none. It is true of old versions of rows, too:
    one that another account has taken over since is found by the account that it had."""
    found = [
        _among(sql, getattr(sets, kind))
        for kind in ("accounts", "events", "edges", "conversations")
        for sql in getattr(place, kind)
        if getattr(sets, kind)
    ]
    if place.values and sets.values:
        alone = "".join(f"{_none(sql)} AND " for sql in place.accounts)
        found.append(f"({alone}({_any([_among(sql, sets.values) for sql in place.values])}))")
    return _any(found)


def named_by_others(place: Place, sets: Sets) -> str:
    """SQL: the condition that holds for rows of others that name an account of the person; `0`: there are none."""
    named = [_among(sql, sets.accounts) for sql in place.others if sets.accounts]
    return f"({_any(named)}) AND NOT ({where(place, sets)})" if named else "0"


def _among(sql: str, keys: str) -> str:
    if not sql.endswith("[]"):
        return f"{sql} IN ({keys})"
    return f"arrayExists(its -> its IN ({keys}), {sql.removesuffix('[]')})"  # hasAny looks at each key for each row


def _none(sql: str) -> str:
    return f"empty({sql.removesuffix('[]')})" if sql.endswith("[]") else f"{sql} = 0"


def _any(conditions: Sequence[str]) -> str:
    return " OR ".join(conditions) or "0"
