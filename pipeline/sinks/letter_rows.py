"""Dead letters as rows of their table: encrypted, and with hashes that say whose they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import polars as pl

from pipeline.batch import Rejected
from pipeline.sinks.letter_encryption import FORM, LetterEncryption, Place
from pipeline.sinks.letter_subject import Subject, subject_of

Hashes = Callable[[str, Sequence[str]], list[str]]
"""Step privacy's: the hashes of some values of a column."""
_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "partition": pl.Int32, "offset": pl.Int64, "content": pl.UInt64, "form": pl.UInt8, "unreadable": pl.UInt8,
    "event_key": pl.UInt64, "accounts": pl.List(pl.UInt64), "contacts": pl.List(pl.String), "key": pl.Binary, "raw": pl.Binary,
}  # fmt: skip


class LetterRows:
    """Makes the rows. Threads may share it. About 20 µs a letter."""

    def __init__(self, encryption: LetterEncryption, hashes: Hashes) -> None:
        self._encryption, self._hashes = encryption, hashes

    def of(self, rejected: Sequence[Rejected]) -> pl.DataFrame:
        """A row a letter. Those of the same letters differ each time, but in the table's key."""
        subjects = [subject_of(letter.raw) for letter in rejected]
        contacts = self.contacts(subjects)
        rows = [self._row(*each) for each in zip(rejected, subjects, contacts, strict=True)]
        frame = pl.DataFrame(rows, schema_overrides=_TYPES)
        return frame.with_columns(rejected_at=pl.lit(datetime.fromtimestamp(time.time(), UTC)))

    def contacts(self, subjects: Sequence[Subject]) -> list[list[str]]:
        """The hashed addresses and numbers of each, as rows of events have them."""
        found: list[list[str]] = [[] for _ in subjects]
        for column in ("email", "phone"):
            given = [getattr(subject, column) for subject in subjects]
            written = sorted({value for value in given if value})
            hashes = dict(zip(written, self._hashes(f"author_{column}", written), strict=True)) if written else {}
            for row, value in enumerate(given):
                if value:
                    found[row].append(hashes[value])
        return found

    def _row(self, letter: Rejected, subject: Subject, contacts: list[str]) -> dict[str, object]:
        place, seal = Place(letter.topic, letter.partition, letter.offset), self._encryption
        return {
            **place._asdict(),
            "content": seal.content(letter.key, letter.raw),
            "step": letter.step,
            "reason": letter.reason,
            "form": FORM,
            "source": subject.source,
            "unreadable": not subject.told and bool(letter.raw or letter.key),
            "event_key": subject.event,
            "accounts": subject.accounts,
            "contacts": contacts,
            "key": seal.encrypt_key(place, letter.key),
            "raw": seal.encrypt(place, letter.raw),
        }
