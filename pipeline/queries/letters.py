"""Dead letters as people read them: rows of table dead_letters, in clear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line, settings_for
from pipeline.config.keys import DataKeys
from pipeline.errors import EarshotError
from pipeline.sinks.letter_encryption import BEGINNING, FORM, LetterEncryption, Place, record_size

_BYTES: dict[str, str | dict[str, str]] = {"key": "bytes", "raw": "bytes", "raw_begins": "bytes"}
_COLUMNS = "topic, partition, offset, step, reason, rejected_at, key, {raw}, length(raw), form"


class DeadLetter(NamedTuple):
    """A row of dead_letters."""

    topic: str
    partition: int
    offset: int
    step: str
    reason: str
    rejected_at: datetime
    key: bytes | None
    raw: bytes
    """The whole record, or its beginning."""
    size: int
    """Bytes of the whole record."""


def select(tail: str, raw: str = "raw") -> str:
    """A question for `matching`: which letters, and in which order."""
    return f"SELECT {_COLUMNS.format(raw=raw)} FROM dead_letters FINAL {tail}"


def matching(client: Client, sql: str, values: Mapping[str, object], keys: DataKeys) -> Iterator[DeadLetter]:
    """The letters of a `select`, one after the other, in clear.

    Raises EarshotError with the server's reason, or if one can't be decrypted; SettingsError without a key for the first
    that is encrypted.
    """
    settings, encryption = settings_for(client), None
    given = dict(values)
    with one_line(client), client.query_rows_stream(sql, given, settings, column_formats=_BYTES, query_tz="UTC") as stream:
        for *row, form in stream:
            letter = DeadLetter(*row)
            if form:
                encryption = encryption or LetterEncryption(keys)
                letter = _decrypted(letter, form, encryption)
            yield letter if len(letter.raw) == letter.size else letter._replace(raw=letter.raw[:BEGINNING])


def _decrypted(letter: DeadLetter, form: int, encryption: LetterEncryption) -> DeadLetter:
    place = Place(letter.topic, letter.partition, letter.offset)
    if form != FORM:
        raise EarshotError(f"the dead letter of {place} was encrypted by a later program")
    raw = encryption.decrypt(place, letter.raw, letter.size)
    return letter._replace(key=encryption.decrypt_key(place, letter.key), raw=raw, size=record_size(letter.size))
