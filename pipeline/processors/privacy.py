"""Privacy: e-mail addresses and phone numbers become keyed hashes before anything else sees them, hashing and storing included.

HMAC-SHA256 (RFC 2104) in hex, of the address in lower case without surrounding space, or of the number as it came without
spaces, dots, dashes and brackets. Equal inputs under one key give equal hashes, so accounts can be linked; in clear they stay
in the raw topic and the dead letters only. What is such a hash already stays: a change that waited and was refused is a dead
letter made of its columns (sinks/interactions.py), and its replay must say the same.
"""

from __future__ import annotations

import hmac
import re

import polars as pl

from pipeline.batch import EventBatch

_HASH = re.compile("[0-9a-f]{64}")


class Pseudonymise:
    """The step. `key` is the secret; with another key the same address has another hash."""

    name = "privacy"

    def __init__(self, key: bytes) -> None:
        self._key = key

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
        hashes = [
            value if _HASH.fullmatch(value) else hmac.digest(self._key, value.encode(), "sha256").hex() for value in distinct
        ]
        return values.replace_strict(distinct, pl.Series(hashes, dtype=pl.String), default=None, return_dtype=pl.String)
