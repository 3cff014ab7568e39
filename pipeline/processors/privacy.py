"""Privacy: e-mail addresses and phone numbers become keyed hashes before anything else sees them, hashing and storing included.

HMAC-SHA256 (RFC 2104) in hex, of the address in lower case without surrounding space, or of the number as it came without
spaces, dots, dashes and brackets. Equal inputs under one key give equal hashes, so accounts can be linked; in clear they stay
in the raw topic and the dead letters only.

A change that waited and was refused is a dead letter made of its columns (sinks/interactions.py), and its replay must say the
same: its hashes are sealed, and a seal that holds stands for its hash. Nobody without the key makes one, so whoever reads a
hash can't pass for its owner, and what merely looks like a hash (a SHA-256 that a platform gave) is an address as any other.
"""

from __future__ import annotations

import hmac
import re

import polars as pl

from pipeline.batch import EventBatch

HASHED = ("author_email", "author_phone")
_SEALED = re.compile("hmac:([0-9a-f]{64}):[0-9a-f]{64}")


class Pseudonymise:
    """The step. `key` is the secret; with another key the same address has another hash."""

    name = "privacy"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, hashed: str) -> str:
        """A hash of this step in a form that this step takes for the hash, in a record that is read again."""
        return f"hmac:{hashed}:{self._digest(f'hmac:{hashed}')}"

    def process(self, batch: EventBatch) -> EventBatch:
        frame = batch.events
        plain = {
            "author_email": pl.col("author_email").str.strip_chars().str.to_lowercase(),
            "author_phone": pl.col("author_phone").str.replace_all(r"[\s.()/-]", ""),
        }
        for column, normal in plain.items():
            if frame.get_column(column).null_count() < frame.height:
                frame = frame.with_columns(self._hash(frame.select(normal).to_series()))
        batch.events = frame
        return batch

    def _hash(self, values: pl.Series) -> pl.Series:
        distinct = values.drop_nulls().unique()
        hashes = [self._sealed(value) or self._digest(value) for value in distinct]
        return values.replace_strict(distinct, pl.Series(hashes, dtype=pl.String), default=None, return_dtype=pl.String)

    def _sealed(self, value: str) -> str:
        """The hash that is sealed in the value; blank: none is."""
        found = _SEALED.fullmatch(value)
        return found[1] if found and hmac.compare_digest(self.seal(found[1]), value) else ""

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()
