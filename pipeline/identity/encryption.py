"""Names, addresses and numbers of CRM records, encrypted: who reads the table, or a backup of it, learns none without the key.

AES-256 in GCM with a fresh nonce for each value. The record's profile and the column are authenticated with it: a value that
was moved to another row or column does not decrypt. Stored as base64 of a byte that says the form, the nonce, and what was
encrypted. Column `sealed_by` says which key it was: to decrypt nobody needs it, as no value decrypts with another one.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.config.keys import DataKeys
from pipeline.errors import EarshotError, SettingsError

ENCRYPTED = ("name", "email", "phone")
"""The columns of table customers that are encrypted."""
_FORM = b"\x01"
"""The form of what is stored."""
_NONCE = 12


class Encryption:
    """Encrypts with the newest key, decrypts with any. Threads may share it. Raises SettingsError for a key that is missing or
    none."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = [AESGCM(key) for key in key_bytes(keys, "what a CRM knows of a customer")]
        self.sealed_by = keys.sealed_by

    def encrypt(self, profile: int, column: str, text: str) -> str:
        """What the table keeps; blank for blank. About 3 µs."""
        if not text:
            return ""
        nonce = os.urandom(_NONCE)
        return b64encode(_FORM + nonce + self._keys[0].encrypt(nonce, text.encode(), _place(profile, column))).decode()

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
        if (text := opened(self._keys, raw[1:], _place(profile, column))) is None:
            raise EarshotError(f"{where}: it can't be decrypted: privacy.data_key is another key, or the value was moved")
        return text.decode()


def opened(keys: Sequence[AESGCM], stored: bytes, place: bytes) -> bytes | None:
    """A nonce and what was encrypted, in clear, by the one of the keys that did it; None: by none of them for this place."""
    for key in keys:
        with suppress(InvalidTag, ValueError):
            return bytes(key.decrypt(stored[:_NONCE], stored[_NONCE:], place))
    return None


def key_bytes(keys: DataKeys, what: str) -> list[bytes]:
    """The keys of setting privacy.data_key, which encrypt `what`, the newest first. Raises SettingsError for one that is
    missing or none."""
    if not keys:
        raise SettingsError(f"setting privacy.data_key is missing: the key that encrypts {what}")
    for key in reversed(keys.all):
        if not re.fullmatch("[0-9a-fA-F]{64}", key):
            setting = "data_key" if key == keys.newest else "older_data_keys"
            raise SettingsError(
                f"setting privacy.{setting}: it is no key: 64 hexadecimal digits, as `openssl rand -hex 32` makes"
            )
    return [bytes.fromhex(key) for key in reversed(keys.all)]


def _place(profile: int, column: str) -> bytes:
    return f"{profile}:{column}".encode()
