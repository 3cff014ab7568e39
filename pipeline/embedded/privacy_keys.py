"""A data folder's keys, each made once: no other recognises a known person, or reads CRM records again."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.embedded.password import asks_embedded
from pipeline.embedded.secret import make_secret, read_secret

HASH_KEY, DATA_KEY = "hash_key", "data_key"


def make_hash_key(data_dir: Path) -> str:
    """The folder's key for e-mail addresses and phone numbers; makes it when there is none."""
    return _made(data_dir, HASH_KEY)


def make_data_key(data_dir: Path) -> str:
    """The folder's key for names, addresses and numbers of CRM records; makes it when there is none."""
    return _made(data_dir, DATA_KEY)


def hash_key(settings: Settings) -> str:
    """The key of the settings, else the folder's when ClickHouse is the embedded one; empty when there is none."""
    return _known(settings, settings.privacy.hash_key, HASH_KEY)


def data_key(settings: Settings) -> str:
    """The same of the other key."""
    return _known(settings, settings.privacy.data_key, DATA_KEY)


def _made(data_dir: Path, name: str) -> str:
    return make_secret(data_dir, name, lambda: secrets.token_hex(32))


def _known(settings: Settings, given: SecretStr, name: str) -> str:
    if key := given.get_secret_value():
        return key
    return read_secret(settings.embedded.data_dir, name) if asks_embedded(settings) else ""
