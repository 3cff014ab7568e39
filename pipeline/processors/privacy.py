"""Privacy: e-mail addresses and phone numbers become keyed hashes before any other step sees them.

HMAC-SHA256 (RFC 2104) in hex, of the address in lower case without surrounding space, or of the number in E.164 (+15550147), or
as it came without spaces, dots, dashes and brackets where it can't be read. Equal inputs under one key give equal hashes, so
accounts can be linked; in clear they stay in the raw topic and the dead letters only.

A contact that names nobody (`info@`, a blocked one: schemas/contacts.py) becomes null here, where it is still known in clear:
no row has it, and nothing can be linked by it.

A change that waited and that ClickHouse refused becomes a dead letter made of its columns (sinks/landing.py), and its replay
must give the same row: its hashes are sealed, and the step takes a valid seal for its hash. Only the key makes a seal, so
nobody who reads a hash can pass for its owner, and a value that merely looks like a hash (a platform's SHA-256) is hashed like
an address.

What is of a person who was erased is dropped here (processors/suppressed.py): before anything waits or lands."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

import polars as pl

from pipeline.batch import EventBatch
from pipeline.errors import SettingsError
from pipeline.processors.suppressed import Suppressed
from schemas.contacts import EMAIL, PHONE, REGIONS, Blocked, e164

HASHED = {"author_email": EMAIL, "author_phone": PHONE}
"""The columns that are hashed, each with the form of its values that is hashed (phone numbers: before E.164)."""
KNOWN_NUMBERS = 50_000
"""Most phone numbers whose hash in E.164 is remembered, by the hash of what was written: 12 MB."""
_SEALED = re.compile("hmac:([0-9a-f]{64}):[0-9a-f]{64}")


class Pseudonymise:
    """The step. `key` is the secret; with another key the same address has another hash. `region` is setting privacy.region.

    Raises SettingsError without a key, and for an unknown region. Restart: `suppressed` is read again, nothing else to restore.
    """

    name = "privacy"

    def __init__(self, key: bytes, region: str, blocked: Blocked) -> None:
        if not key:
            raise SettingsError("setting privacy.hash_key is missing: the key that hashes e-mail addresses and phone numbers")
        if region and region not in REGIONS:
            raise SettingsError(f"setting privacy.region: there is no {region!r}: it is a country by ISO 3166, as DE or GB")
        self._key, self._region, self._blocked = key, region, blocked
        self._numbers: dict[str, str] = {}
        self.suppressed = Suppressed()
        """Whose events it drops: nobody's, until it is told so (worker/suppressions.py)."""

    def block(self, blocked: Blocked) -> None:
        """Blanks these contacts from the next batch on. From any thread."""
        self._blocked = blocked

    def seal(self, hashed: str) -> str:
        """The hash in a form that this step accepts in place of the address, for a record that is read again."""
        return f"hmac:{hashed}:{self._digest(f'hmac:{hashed}')}"

    def process(self, batch: EventBatch) -> EventBatch:
        frame = batch.events
        for column in HASHED:
            if frame.get_column(column).null_count() < frame.height:
                frame = frame.with_columns(self.hash(frame.get_column(column)))
        batch.events = frame
        self.suppressed.drop(batch)
        return batch

    def hashes(self, column: str, values: Sequence[str]) -> list[str]:
        """The hashes that rows have of these values of a column of HASHED, blocked ones too."""
        return [self._hashed(column, value) for value in _normal(pl.Series(column, values, pl.String))]

    def hash(self, values: pl.Series) -> pl.Series:
        """A column of HASHED as rows have it: hashes, and null for a blocked contact."""
        values, column, blocked = _normal(values), values.name, self._blocked
        distinct = values.drop_nulls().unique()
        hashes = [self._hashed(column, value) for value in distinct]
        kept = [None if blocked.blocks(value, hashed) else hashed for value, hashed in zip(distinct, hashes, strict=True)]
        return values.replace_strict(distinct, pl.Series(kept, dtype=pl.String), default=None, return_dtype=pl.String)

    def _hashed(self, column: str, value: str) -> str:
        """Of a value in the form of HASHED."""
        if sealed := self._sealed(value):
            return sealed
        written = self._digest(value)
        if column != "author_phone":
            return written
        known = self._numbers.get(written)
        if known is None:
            if len(self._numbers) >= KNOWN_NUMBERS:
                self._numbers.clear()
            known = self._numbers[written] = self._digest(e164(value, self._region))
        return known

    def _sealed(self, value: str) -> str:
        """The hash that is sealed in the value; blank: it is no valid seal."""
        match = _SEALED.fullmatch(value)
        return match[1] if match and hmac.compare_digest(self.seal(match[1]), value) else ""

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def _normal(values: pl.Series) -> pl.Series:
    """A column of HASHED, each value in the form that is hashed."""
    return values.to_frame().select(HASHED[values.name]).to_series()
