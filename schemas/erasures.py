"""An erasure, as it crosses processes: the keys of a person that are suppressed, and the receipt of what was done.

Neither names anybody: a key is a hash, and what people say in `why` is theirs to keep free of names.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from schemas.times import utc_now

ERASED = "erased"
"""Why step privacy drops what has a suppressed key."""
HANDLE = "handle"
"""What stands in column `value` of a suppressed account that is one of `Keys.handles`."""
COLUMNS = (
    "id", "by", "why", "asked_at", "accounts", "addresses", "events", "rows", "months", "topics", "hidden_at", "waits",
    "purged_at", "version",
)  # fmt: skip
"""Those of table erasures."""


class Keys(NamedTuple):
    """What is known of persons without naming them."""

    accounts: Sequence[int] = ()
    """account_key of each account, by its id and by each handle."""
    values: Sequence[str] = ()
    """Hashes of e-mail addresses and phone numbers, as columns author_email and author_phone have them."""
    events: Sequence[int] = ()
    """event_key of what they did."""
    handles: frozenset[int] = frozenset()
    """Those of `accounts` by a handle whose account has an id: whoever bears it under another id is somebody else."""


@dataclass(slots=True)
class Erasure:
    """A receipt: what was asked, and how far it is. The row with the highest version counts."""

    by: str
    why: str = ""
    asked_at: datetime = field(default_factory=utc_now)
    accounts: int = 0
    addresses: int = 0
    events: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows of each table were hidden."""
    months: Sequence[int] = ()
    """Of the hidden events: 202611."""
    topics: Mapping[str, str] = field(default_factory=dict)
    """Until when each topic may hold records."""
    hidden_at: datetime | None = None
    waits: Sequence[str] = ()
    """What is still to be done before it is hidden everywhere."""
    purged_at: datetime | None = None
    version: int = 0
    id: int = field(default_factory=lambda: secrets.randbits(63) | 1)

    def row(self) -> list[object]:
        """Its values in the order of COLUMNS."""
        return [getattr(self, name) for name in COLUMNS]
