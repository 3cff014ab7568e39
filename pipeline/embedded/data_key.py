"""A data folder's key for the names, addresses and numbers of CRM records: made once, since no other key reads them again."""

from __future__ import annotations

import secrets
from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.embedded.password import asks_embedded
from pipeline.embedded.secret import make_secret, read_secret

NAME = "data_key"


def make_data_key(data_dir: Path) -> str:
    """The key of the folder; makes it when there is none."""
    return make_secret(data_dir, NAME, lambda: secrets.token_hex(32))


def data_key(settings: Settings) -> str:
    """The key of the settings, else the folder's when ClickHouse is the embedded one; empty when there is none."""
    if key := settings.privacy.data_key.get_secret_value():
        return key
    return read_secret(settings.embedded.data_dir, NAME) if asks_embedded(settings) else ""
