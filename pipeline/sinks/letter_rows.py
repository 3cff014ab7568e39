"""Dead letters as rows of their table: encrypted, and with hashes that say whose they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import polars as pl

from pipeline.batch import Rejected
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.letter_encryption import FORM, LetterEncryption, Place
from pipeline.sinks.letter_subject import Subject, subject_of

Hashes = Callable[[str, Sequence[str]], list[str]]
"""Step privacy's: the hashes of some values of a column."""
TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "partition": pl.Int32, "offset": pl.Int64, "content": pl.UInt64, "form": pl.UInt8, "sealed_by": pl.UInt32,
    "unreadable": pl.UInt8, "event_key": pl.UInt64, "accounts": pl.List(pl.UInt64), "contacts": pl.List(pl.String),
    "key": pl.Binary, "raw": pl.Binary,
}  # fmt: skip


class LetterRows:
    """Makes the rows, under the keys of step `privacy`. Threads may share it. 50 µs a letter with an address and a number."""

    def __init__(self, encryption: LetterEncryption, privacy: Pseudonymise) -> None:
        self._encryption, self._privacy = encryption, privacy

    def kept(self, rejected: Sequence[Rejected]) -> Sequence[Rejected]:
        """The letters but for those of persons who were erased: a topic that is read again brings none of these back."""
        if not rejected or not len(self._privacy.suppressed):
            return rejected
        subjects = [subject_of(letter.raw) for letter in rejected]
        contacts = contacts_of(subjects, self._privacy.hashes)
        names = self._privacy.suppressed.names
        return [
            letter
            for letter, subject, theirs in zip(rejected, subjects, contacts, strict=True)
            if not names(subject.accounts, theirs, subject.event)
        ]

    def of(self, rejected: Sequence[Rejected]) -> pl.DataFrame:
        """A row a letter. Those of the same letters differ each time, but in the table's key."""
        subjects = [subject_of(letter.raw) for letter in rejected]
        contacts = contacts_of(subjects, self._privacy.hashes)
        rows = [self._row(*each) for each in zip(rejected, subjects, contacts, strict=True)]
        frame = pl.DataFrame(rows, schema_overrides=TYPES)
        return frame.with_columns(rejected_at=pl.lit(datetime.fromtimestamp(time.time(), UTC)))

    def _row(self, letter: Rejected, subject: Subject, contacts: list[str]) -> dict[str, object]:
        place, seal = Place(letter.topic, letter.partition, letter.offset), self._encryption
        return {
            **place._asdict(),
            "content": seal.content(letter.key, letter.raw),
            "step": letter.step,
            "reason": letter.reason,
            "form": FORM,
            "sealed_by": seal.sealed_by,
            "source": subject.source,
            "unreadable": not subject.told and bool(letter.raw or letter.key),
            "event_key": subject.event,
            "accounts": subject.accounts,
            "contacts": contacts,
            "key": seal.encrypt_key(place, letter.key),
            "raw": seal.encrypt(place, letter.raw),
        }


def contacts_of(subjects: Sequence[Subject], hashes: Hashes) -> list[list[str]]:
    """The hashed addresses and numbers of each, as rows of events have them."""
    found: list[list[str]] = [[] for _ in subjects]
    for column in ("email", "phone"):
        given = [getattr(subject, column) for subject in subjects]
        written = sorted({value for value in given if value})
        hashed = dict(zip(written, hashes(f"author_{column}", written), strict=True)) if written else {}
        for row, value in enumerate(given):
            if value:
                found[row].append(hashed[value])
    return found
