"""The two keys of privacy: the newest, and those before it, each a generation. `earshot keys rotate` puts the next in force."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pydantic import Field, SecretStr, model_validator

from pipeline.config.section import Section

Name = Literal["hash_key", "data_key"]
"""A key, as section [privacy] of the settings names it."""
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of one name, oldest first; none: the setting is missing."""

    all: tuple[str, ...] = ()

    name: ClassVar[Name]

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def fingerprints(self) -> list[str]:
        return [fingerprint(self.name, key) for key in self.all]

    @property
    def newest(self) -> str:
        """Blank: there is none."""
        return self.all[-1] if self.all else ""

    @property
    def older(self) -> tuple[str, ...]:
        """Oldest first."""
        return self.all[:-1]


class HashKeys(Keys):
    """What hashes e-mail addresses and phone numbers. All generations from the first on: a hash of a later one is made from
    that of the one before."""

    __slots__ = ()
    name = "hash_key"

    @property
    def generation(self) -> int:
        """Of the newest; 0: there is none."""
        return len(self.all)


class DataKeys(Keys):
    """What encrypts. The newest encrypts, each decrypts what it encrypted."""

    __slots__ = ()
    name = "data_key"

    @property
    def sealed_by(self) -> int:
        """What rows say that the newest has encrypted, UInt32."""
        return int(fingerprint(self.name, self.newest)[:8], 16)


class KeySettings(Section):
    hash_key: SecretStr = Field(SecretStr(""), description="HMAC-SHA256 key for e-mail addresses and phone numbers")
    older_hash_keys: tuple[SecretStr, ...] = Field(
        (), description="those before it, the first one first: none may ever be left out"
    )
    data_key: SecretStr = Field(
        SecretStr(""),
        description="AES key, 64 hexadecimal digits, for dead letters, and for persons in CRM records",
    )
    older_data_keys: tuple[SecretStr, ...] = Field(
        (), description="those before it, the first one first: each until a rotation says that it can go"
    )

    @property
    def hash_keys(self) -> HashKeys:
        return HashKeys(_clear(self.older_hash_keys, self.hash_key))

    @property
    def data_keys(self) -> DataKeys:
        return DataKeys(_clear(self.older_data_keys, self.data_key))

    @model_validator(mode="after")
    def _each_once(self) -> KeySettings:
        for keys, older in ((self.hash_keys, self.older_hash_keys), (self.data_keys, self.older_data_keys)):
            if older and not keys:
                raise ValueError(f"older_{keys.name}s does nothing without {keys.name}")
            if "" in keys.all or len({key.lower() for key in keys.all}) < len(keys.all):
                raise ValueError(f"older_{keys.name}s has a key that is blank, or there twice, or {keys.name} itself")
        return self


def fingerprint(name: Name, key: str) -> str:
    """32 hexadecimal digits: the key's HMAC of a fixed text, which does not give the key away."""
    key = key.lower() if name == "data_key" else key  # hexadecimal digits
    return hmac.digest(key.encode(), f"Earshot: fingerprint of {name}".encode(), "sha256").hex()[:32]


def _clear(older: Sequence[SecretStr], newest: SecretStr) -> tuple[str, ...]:
    key = newest.get_secret_value()
    return (*(each.get_secret_value() for each in older), key) if key else ()
