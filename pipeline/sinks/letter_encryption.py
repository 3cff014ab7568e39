"""Dead letters, encrypted in table dead_letters: who reads the table, or a backup of it, learns no record without the key.

AES-256 in GCM with a fresh nonce, under a key of its own that is made from `privacy.data_key`. A letter's topic, partition and
offset and the part are authenticated with it: what was moved to another row or column, or cut, does not decrypt. A long record
is encrypted in two parts, so that its beginning can be shown without the rest.

Each encryption differs, so a replay can't be recognised by what is stored: `content` tells the letters of one offset apart. It
is a keyed hash: that of a short record alone would prove a guess of it. With another key it is another one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.config.keys import DataKeys
from pipeline.errors import EarshotError
from pipeline.identity.encryption import key_bytes, opened

FORM = 1
"""Column `form` of an encrypted letter. 0: key and raw are as they came, as before migration 032."""
BEGINNING = 2_000
"""Bytes of the first part of a long record."""
_NONCE, _MORE = 12, 28
"""Of a nonce; of nonce and tag."""
STORED_BEGINNING = BEGINNING + _MORE
"""Bytes of the column that hold the beginning."""


class Place(NamedTuple):
    """Where a letter's record came from."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}, offset {self.offset}"


class LetterEncryption:
    """Encrypts under the newest `privacy.data_key`, decrypts under any. Threads may share it. Raises SettingsError for a key
    that is missing or none."""

    def __init__(self, keys: DataKeys) -> None:
        whole = key_bytes(keys, "dead letters and what a CRM knows of a customer")
        self._keys = [AESGCM(hmac.digest(each, b"Earshot: dead letters", "sha256")) for each in whole]
        self._content = hmac.digest(whole[0], b"Earshot: content of dead letters", "sha256")
        self.sealed_by = keys.sealed_by

    def content(self, key: bytes | None, raw: bytes) -> int:
        """The same for the same key and record, UInt64."""
        digest = hashlib.blake2b(b"-" if key is None else b"%d:%b" % (len(key), key), digest_size=8, key=self._content)
        digest.update(raw)
        return int.from_bytes(digest.digest(), "big")

    def encrypt_key(self, place: Place, key: bytes | None) -> bytes | None:
        """What column `key` keeps; None for none."""
        return None if key is None else self._encrypt(place, "key", key)

    def encrypt(self, place: Place, raw: bytes) -> bytes:
        """What column `raw` keeps. About 3 µs."""
        if len(raw) <= BEGINNING:
            return self._encrypt(place, "raw", raw)
        return self._encrypt(place, "beginning", raw[:BEGINNING]) + self._encrypt(place, "rest", raw[BEGINNING:])

    def decrypt_key(self, place: Place, stored: bytes | None) -> bytes | None:
        """Raises as `decrypt`."""
        return None if stored is None else self._decrypt(place, "key", stored)

    def decrypt(self, place: Place, stored: bytes, size: int) -> bytes:
        """The record, or its beginning if `stored` is no more than STORED_BEGINNING of the column's `size` bytes.

        Raises EarshotError, which quotes nothing, if it was encrypted with another key, for another place, or was cut.
        """
        if size <= STORED_BEGINNING:
            return self._decrypt(place, "raw", stored)
        beginning = self._decrypt(place, "beginning", stored[:STORED_BEGINNING])
        rest = stored[STORED_BEGINNING:]
        return beginning + self._decrypt(place, "rest", rest) if rest else beginning

    def _encrypt(self, place: Place, part: str, clear: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._keys[0].encrypt(nonce, clear, _named(place, part))

    def _decrypt(self, place: Place, part: str, stored: bytes) -> bytes:
        if (clear := opened(self._keys, stored, _named(place, part))) is None:
            raise EarshotError(
                f"the dead letter of {place} can't be decrypted: privacy.data_key is another key, or the letter was changed"
            )
        return clear


def record_size(size: int) -> int:
    """Bytes of the record of which column `raw` has `size` bytes."""
    return size - _MORE if size <= STORED_BEGINNING else size - 2 * _MORE


def _named(place: Place, part: str) -> bytes:
    return f"{place.partition}:{place.offset}:{part}:{place.topic}".encode()
