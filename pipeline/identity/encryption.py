"""Names, addresses and numbers of CRM records, encrypted: who reads the table, or a backup of it, learns none without the key.

AES-256 in GCM with a fresh nonce for each value. The record's profile and the column are authenticated with it: a value that
was moved to another row or column does not decrypt. Stored as base64 of a byte that says the form, the nonce, and what was
encrypted.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.errors import EarshotError, SettingsError

ENCRYPTED = ("name", "email", "phone")
"""The columns of table customers that are encrypted."""
_FORM = b"\x01"
"""The form of what is stored, and its key; a second key would have a form of its own."""
_NONCE = 12


class Encryption:
    """Encrypts and decrypts with one key. Threads may share it. Raises SettingsError for a key that is missing or none."""

    def __init__(self, data_key: str) -> None:
        self._key = AESGCM(key_bytes(data_key, "what a CRM knows of a customer"))

    def encrypt(self, profile: int, column: str, text: str) -> str:
        """What the table keeps; blank for blank. About 3 µs."""
        if not text:
            return ""
        nonce = os.urandom(_NONCE)
        return b64encode(_FORM + nonce + self._key.encrypt(nonce, text.encode(), _place(profile, column))).decode()

    def decrypt(self, profile: int, column: str, stored: str) -> str:
        """The text. Raises EarshotError, which quotes nothing, if it was made with another key, for another record or column,
        or by a later program."""
        if not stored:
            return ""
        where = f"table customers, column {column} of profile {profile:016x}"
        try:
            raw = b64decode(stored, validate=True)
        except ValueError:
            raise EarshotError(f"{where}: it is not what Earshot encrypted") from None
        if raw[:1] != _FORM:
            raise EarshotError(f"{where}: it was encrypted by a later program")
        try:
            return str(self._key.decrypt(raw[1 : 1 + _NONCE], raw[1 + _NONCE :], _place(profile, column)).decode())
        except (InvalidTag, ValueError):
            raise EarshotError(
                f"{where}: it can't be decrypted: privacy.data_key is another key, or the value was moved"
            ) from None


def key_bytes(data_key: str, what: str) -> bytes:
    """The key of setting privacy.data_key, which encrypts `what`. Raises SettingsError for one that is missing or none."""
    if not data_key:
        raise SettingsError(f"setting privacy.data_key is missing: the key that encrypts {what}")
    if not re.fullmatch("[0-9a-fA-F]{64}", data_key):
        raise SettingsError("setting privacy.data_key: it is no key: 64 hexadecimal digits, as `openssl rand -hex 32` makes")
    return bytes.fromhex(data_key)


def _place(profile: int, column: str) -> bytes:
    return f"{profile}:{column}".encode()
