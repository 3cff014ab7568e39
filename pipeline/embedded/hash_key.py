"""A data folder's key for e-mail addresses and phone numbers: made once, for another would tell no known person again."""

from __future__ import annotations

import secrets
from pathlib import Path

from pipeline.embedded.secret import make_secret
from pipeline.settings import Settings


def make_hash_key(data_dir: Path) -> str:
    """The key of the folder; makes it when there is none."""
    return make_secret(data_dir, "hash_key", lambda: secrets.token_hex(32))


def hash_key(settings: Settings) -> str:
    """The key of the settings, else the folder's when ClickHouse is the embedded one; empty when there is none."""
    path = settings.embedded.data_dir / "secrets" / "hash_key"
    if key := settings.privacy.hash_key.get_secret_value():
        return key
    embedded = settings.clickhouse.url == f"http://127.0.0.1:{settings.embedded.clickhouse_port}"
    return path.read_text() if embedded and path.exists() else ""
