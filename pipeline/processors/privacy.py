"""Privacy: e-mail addresses and phone numbers become keyed hashes before any other step sees them.

HMAC-SHA256 (RFC 2104) in hex, of the address in lower case without surrounding space, or of the number in E.164 (+15550147), or
as it came without spaces, dots, dashes and brackets where it can't be read. Equal inputs under one key give equal hashes, so
accounts can be linked; in clear they stay in the raw topic and the dead letters only. A later key hashes what an earlier one
made (schemas/hashes.py).

A contact that names nobody (`info@`, a blocked one: schemas/contacts.py) becomes null here, where it is still known in clear:
no row has it, and nothing can be linked by it.

A change that waited and that ClickHouse refused becomes a dead letter made of its columns (sinks/landing.py), and its replay
must give the same row: its hashes are sealed, and the step takes a valid seal for its hash. Only the key makes a seal, so
nobody who reads a hash can pass for its owner, and a value that merely looks like a hash (a platform's SHA-256) is hashed like
an address. A seal of an earlier key is good, and its hash is raised; so are the hashes of rows and changes that were stored
before the newest key, wherever they land again.

What is of a person who was erased is dropped here (processors/suppressed.py): before anything waits or lands."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from pipeline.batch import EventBatch
from pipeline.config.keys import HashKeys
from pipeline.errors import SettingsError
from pipeline.processors.suppressed import Suppressed
from schemas.contacts import EMAIL, PHONE, REGIONS, Blocked, e164
from schemas.hashes import STORED, Chain

HASHED = {"author_email": EMAIL, "author_phone": PHONE}
"""The columns that are hashed, each with the form of its values that is hashed (phone numbers: before E.164)."""
KNOWN_NUMBERS = 50_000
"""Most phone numbers whose hash in E.164 is remembered, by the hash of what was written: 12 MB."""
_SEALED = re.compile(r"hmac:(?:([1-9][0-9]{0,3}):)?([0-9a-f]{64}):([0-9a-f]{64})")


class Pseudonymise:
    """The step. `keys` are the secrets, or the only one; with others the same address has another hash. `region` is setting
    privacy.region.

    Raises SettingsError without a key, and for an unknown region. Restart: `suppressed` is read again, nothing else to restore.
    """

    name = "privacy"

    def __init__(self, keys: HashKeys | bytes, region: str, blocked: Blocked) -> None:
        if not keys:
            raise SettingsError("setting privacy.hash_key is missing: the key that hashes e-mail addresses and phone numbers")
        if region and region not in REGIONS:
            raise SettingsError(f"setting privacy.region: there is no {region!r}: it is a country by ISO 3166, as DE or GB")
        self.chain = Chain([keys] if isinstance(keys, bytes) else [key.encode() for key in keys.all])
        self._region, self._blocked = region, blocked
        self._numbers: dict[str, str] = {}
        self.suppressed = Suppressed()
        """Whose events it drops: nobody's, until it is told so (worker/suppressions.py)."""

    def block(self, blocked: Blocked) -> None:
        """Blanks these contacts from the next batch on. From any thread."""
        self._blocked = blocked

    def seal(self, hashed: str) -> str:
        """The hash in a form that this step accepts in place of the address, for a record that is read again."""
        return f"hmac:{hashed.replace('-', ':')}:{self.chain.seal(hashed)}"  # a number has no dashes once it is read

    def process(self, batch: EventBatch) -> EventBatch:
        frame = batch.events
        for column in HASHED:
            if frame.get_column(column).null_count() < frame.height:
                frame = frame.with_columns(self.hash(frame.get_column(column)))
        batch.events = frame
        self.suppressed.drop(batch)
        return batch

    def hashes(self, column: str, values: Sequence[str]) -> list[str]:
        """The hashes that rows have of these values of a column of HASHED, blocked ones too; of STORED hashes those of the
        newest key."""
        if column == STORED:
            return self.chain.all_raised(values)
        return [self._hashed(column, value) for value in _normal(pl.Series(column, values, pl.String))]

    def each(self, column: str, value: str) -> list[str]:
        """The hashes that rows may have of a value of a column of HASHED, by the newest key and by each before it."""
        [value] = _normal(pl.Series(column, [value], pl.String))
        return self.chain.each(e164(value, self._region) if column == "author_phone" else value)

    def raised(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows that may have hashes of earlier keys, with those of the newest."""
        if self.chain.generation == 1:
            return rows
        for column in HASHED:
            values = rows.get_column(column)
            if len(older := values.filter(~values.str.starts_with(f"{self.chain.generation}-")).unique()):
                raised = pl.Series(self.chain.all_raised(older), dtype=pl.String)
                rows = rows.with_columns(values.replace(older, raised))
        return rows

    def hash(self, values: pl.Series) -> pl.Series:
        """A column of HASHED as rows have it: hashes, and null for a blocked contact."""
        values, column, blocked = _normal(values), values.name, self._blocked
        distinct = values.drop_nulls().unique()
        hashes = [self._hashed(column, value) for value in distinct]
        kept = [None if blocked.blocks(value, hashed) else hashed for value, hashed in zip(distinct, hashes, strict=True)]
        return values.replace_strict(distinct, pl.Series(kept, dtype=pl.String), default=None, return_dtype=pl.String)

    def _hashed(self, column: str, value: str) -> str:
        """Of a value in the form of HASHED."""
        if value.startswith("hmac:"):
            if sealed := self._sealed(value):
                return sealed
            value = f"no seal: {value}"  # else the hash in its row would be the seal of the hash that it names
        if column != "author_phone":
            return self.chain.hash(value)
        written = self.chain.first(value)
        known = self._numbers.get(written)
        if known is None:
            if len(self._numbers) >= KNOWN_NUMBERS:
                self._numbers.clear()
            known = self._numbers[written] = self.chain.hash(e164(value, self._region))
        return known

    def _sealed(self, value: str) -> str:
        """The hash that is sealed in the value, raised; blank: it is no valid seal."""
        if not (match := _SEALED.fullmatch(value)):
            return ""
        generation, digits, seal = match.groups()
        hashed = f"{generation}-{digits}" if generation else digits
        return self.chain.raised(hashed) if self.chain.sealed(hashed, seal) else ""


def _normal(values: pl.Series) -> pl.Series:
    """A column of HASHED, each value in the form that is hashed."""
    return values.to_frame().select(HASHED[values.name]).to_series()
