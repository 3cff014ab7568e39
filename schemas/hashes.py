"""Hashes of e-mail addresses and phone numbers, as they are stored: keyed, and of a generation of the key.

| generation | a stored hash |
|---|---|
| 1 | HMAC-SHA256 of the value with the first key: 64 hexadecimal digits |
| n | `n-`, and HMAC-SHA256 of the stored hash of generation n - 1 with the n-th key: 64 hexadecimal digits |

So a stored hash says of which generation it is, and who has the keys raises it to a later one without its value, which is
stored nowhere. Who lacks the n-th key tests no guess against a hash of generation n, whichever earlier keys he has. To hash a
value takes all of them.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence

HASH = r"(?:[1-9][0-9]{0,3}-)?[0-9a-f]{64}"
"""What a stored hash matches."""
DIGITS = 64
"""Of a hash, after what says its generation."""
STORED = "hash"
"""Where a column of values is meant: they are hashes as they are stored."""
_KEYED = re.compile(HASH)


class Chain:
    """The keys of all generations, the first one first. Threads may share it. 1 µs a value and generation."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._first, self._later = keys[0], tuple(enumerate(keys[1:], 2))
        self.generation = len(keys)
        """Of the newest key."""

    def first(self, value: str) -> str:
        """The hash of generation 1."""
        return hmac.digest(self._first, value.encode(), "sha256").hex()

    def hash(self, value: str) -> str:
        """The hash of the newest generation."""
        hashed = hmac.digest(self._first, value.encode(), "sha256").hex()
        return self.raised(hashed) if self._later else hashed

    def each(self, value: str) -> list[str]:
        """The value's hashes of all generations, the newest first."""
        found = [self.first(value)]
        for later in self._later:
            found.append(_next(found[-1], *later))
        return found[::-1]

    def raised(self, stored: str) -> str:
        """The same value's hash of the newest generation. What is none of an earlier one stays."""
        if not self._later or not _KEYED.fullmatch(stored):
            return stored
        for later in self._later[generation(stored) - 1 :]:
            stored = _next(stored, *later)
        return stored

    def all_raised(self, stored: Iterable[str]) -> list[str]:
        """`raised` of each."""
        return [self.raised(each) for each in stored] if self._later else list(stored)

    def seal(self, hashed: str) -> str:
        """What only a holder of the newest key makes of a stored hash: 64 hexadecimal digits."""
        return _seal(self._later[-1][1] if self._later else self._first, hashed)

    def sealed(self, hashed: str, seal: str) -> bool:
        """Whether it is the hash's seal, made with the key of its generation or a later one: who got an earlier key alone makes
        none for it."""
        keys = (self._first, *(key for _, key in self._later))[generation(hashed) - 1 :]
        return any(hmac.compare_digest(_seal(key, hashed), seal) for key in keys)


def generation(stored: str) -> int:
    """Of a stored hash."""
    return int(stored[: -DIGITS - 1] or 1)


def older_sql(column: str, newest: int) -> str:
    """SQL: whether a column has a hash of an earlier generation than the newest. One of a later generation, which somebody with
    a later key has written, is none."""
    number = f"if(position({column}, '-') = 0, 1, toUInt16OrZero(substringIndex({column}, '-', 1)))"
    return f"({column} != '' AND {number} < {newest})" if newest > 1 else "0"


def _next(stored: str, number: int, key: bytes) -> str:
    return f"{number}-{hmac.digest(key, stored.encode(), 'sha256').hex()}"


def _seal(key: bytes, hashed: str) -> str:
    return hmac.digest(key, f"hmac:{hashed}".encode(), "sha256").hex()
