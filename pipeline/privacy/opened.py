"""What is encrypted in rows of an export, in clear."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.privacy.place import Place
from pipeline.sinks import letter_encryption
from pipeline.sinks.letter_encryption import LetterEncryption

Row = dict[str, Any]


class Opened:
    """Decrypts by `privacy.data_key`; blank: what is encrypted is left out. Raises SettingsError for a key that is none."""

    def __init__(self, data_key: str) -> None:
        self._records = Encryption(data_key) if data_key else None
        self._letters = LetterEncryption(data_key) if data_key else None

    def row(self, place: Place, row: Row) -> Row:
        """The row as an export has it. Raises EarshotError, which quotes nothing, for what another key encrypted."""
        if place.name == "customers":
            return row | {name: self._record(int(row["profile"]), name, row[name]) for name in ENCRYPTED}
        return self._letter(row) if place.name == "dead_letters" else row

    def _record(self, profile: int, column: str, stored: str) -> str | None:
        return self._records.decrypt(profile, column, stored) if self._records else None

    def _letter(self, row: Row) -> Row:
        """The record and its key as text: what is no UTF-8 as escapes."""
        raw, key = (None if row[name] is None else b64decode(row[name]) for name in ("raw", "key"))
        if row["form"]:
            place = letter_encryption.Place(row["topic"], int(row["partition"]), int(row["offset"]))
            raw = self._letters.decrypt(place, raw or b"", len(raw or b"")) if self._letters else None
            key = self._letters.decrypt_key(place, key) if self._letters else None
        return row | {"raw": _text(raw), "key": _text(key)}


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode(errors="backslashreplace")
