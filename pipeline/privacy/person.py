"""A person as the commands of privacy know one: accounts, keys and hashes, and no name."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.identity import value_key


class Account(NamedTuple):
    """An account of the person, or a record of a CRM."""

    key: int
    platform: str = ""
    id: str = ""
    """Blank: its source gives none, or nothing but evidence names it."""
    handles: tuple[str, ...] = ()
    """Each that it bore, in small letters and without @, sorted."""
    handle_keys: tuple[int, ...] = ()
    """The keys of those that nobody else bore: of rows without an id."""
    shared: tuple[str, ...] = ()
    """Those that another account bore, too."""
    shown: str = ""
    """The name that it showed last; blank: none is known."""
    events: int = 0
    """How many are stored."""
    first: datetime | None = None
    """The time of the first of them."""
    last: datetime | None = None

    @property
    def name(self) -> str:
        """As people type it, its key where nothing better is known."""
        if self.id or not self.handles:
            return f"{self.platform}:{self.id}" if self.id else f"{self.key:016x}"
        return f"{self.platform}:@{self.handles[0]}"


class Value(NamedTuple):
    """An e-mail address or phone number of the person, hashed."""

    type: str
    """email or phone."""
    hash: str
    shared: bool
    """Whether another account, or another record, has it, too."""

    @property
    def key(self) -> int:
        """In the graph."""
        return value_key(self.type, self.hash)


class Person(NamedTuple):
    """Whom a command is about. No name is in it."""

    customer: int
    """The key of the customer."""
    accounts: tuple[Account, ...]
    values: tuple[Value, ...]
    left: tuple[str, ...] = ()
    """Names of other accounts of the customer, where one account alone was asked for."""
    shared: bool = False
    """Whether addresses and numbers that others have, too, find rows that no account wrote."""

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys of the accounts, and of handles that are theirs alone; sorted."""
        return tuple(sorted({key for each in self.accounts for key in (each.key, *each.handle_keys)}))

    @property
    def handles(self) -> frozenset[int]:
        """Those of `keys` by a handle of an account whose id is known: who bears it under another id is somebody else."""
        return frozenset(key for each in self.accounts if each.id for key in each.handle_keys)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashed addresses and numbers that nobody else has, or all; sorted."""
        return tuple(sorted({each.hash for each in self.values if self.shared or not each.shared}))
