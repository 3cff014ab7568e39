"""Privacy: e-mail addresses and phone numbers become keyed hashes before any other step sees them.

HMAC-SHA256 (RFC 2104) in hex, of the address in lower case without surrounding space, or of the number as it came without
spaces, dots, dashes and brackets. Equal inputs under one key give equal hashes, so accounts can be linked; in clear they stay
in the raw topic and the dead letters only.

A change that waited and that ClickHouse refused becomes a dead letter made of its columns (sinks/landing.py), and its replay
must give the same row: its hashes are sealed, and the step takes a valid seal for its hash. Only the key makes a seal, so
nobody who reads a hash can pass for its owner, and a value that merely looks like a hash (a platform's SHA-256) is hashed like
an address."""

from __future__ import annotations

import hmac
import re

import polars as pl

from pipeline.batch import EventBatch
from pipeline.errors import SettingsError

HASHED = {
    "author_email": pl.col("author_email").str.strip_chars().str.to_lowercase(),
    "author_phone": pl.col("author_phone").str.replace_all(r"[\s.()/-]", ""),
}
"""The columns that are hashed, each with the form of its values that is hashed."""
_SEALED = re.compile("hmac:([0-9a-f]{64}):[0-9a-f]{64}")


class Pseudonymise:
    """The step. `key` is the secret; with another key the same address has another hash. Raises SettingsError without a key."""

    name = "privacy"

    def __init__(self, key: bytes) -> None:
        if not key:
            raise SettingsError("setting privacy.hash_key is missing: the key that hashes e-mail addresses and phone numbers")
        self._key = key

    def seal(self, hashed: str) -> str:
        """The hash in a form that this step accepts in place of the address, for a record that is read again."""
        return f"hmac:{hashed}:{self._digest(f'hmac:{hashed}')}"

    def process(self, batch: EventBatch) -> EventBatch:
        frame = batch.events
        for column, normal in HASHED.items():
            if frame.get_column(column).null_count() < frame.height:
                frame = frame.with_columns(self._hash(frame.select(normal).to_series()))
        batch.events = frame
        return batch

    def _hash(self, values: pl.Series) -> pl.Series:
        distinct = values.drop_nulls().unique()
        hashes = [self._sealed(value) or self._digest(value) for value in distinct]
        return values.replace_strict(distinct, pl.Series(hashes, dtype=pl.String), default=None, return_dtype=pl.String)

    def _sealed(self, value: str) -> str:
        """The hash that is sealed in the value; blank: it is no valid seal."""
        match = _SEALED.fullmatch(value)
        return match[1] if match and hmac.compare_digest(self.seal(match[1]), value) else ""

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()
