"""Fingerprints of the keys that a database was written with. Another key would not fail: it would recognise nobody again, and
read nothing of what was encrypted. So a process with another key does not start.

A fingerprint is the key's HMAC of a fixed text: it does not give the key away, and says no more about a weak one than the
hashes of known addresses do. The first process that uses a key stores it. Restart: read again.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import one_line
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import SettingsError

TABLE = "key_fingerprints"
Name = Literal["hash_key", "data_key"]
"""A key, as section [privacy] of the settings names it."""
_LOST = {
    "hash_key": "nobody would be recognised again",
    "data_key": "nothing that it encrypted could be read",
}
_STORED = f"SELECT fingerprint, made_at FROM {TABLE} WHERE name = {{name:String}} ORDER BY made_at, fingerprint LIMIT 1"


def check(client: Client, name: Name, key: str, *, stores: bool = True) -> None:
    """Returns if the database was written with this key; the first key ever stays. Without `stores`: who only reads, and finds
    no fingerprint, leaves none.

    Raises SettingsError, one line without the key, for another one; EarshotError if ClickHouse refuses.
    """
    own = fingerprint(name, key)
    with one_line(client):
        stored = _stored(client, name) or (_store(client, name, own) if stores else None)
    if stored is not None and stored[0] != own:
        raise SettingsError(
            f"setting privacy.{name} is not the key that database {client.database} was first written with, on "
            f"{stored[1]:%Y-%m-%d}: with another one {_LOST[name]} (fingerprint {own[:8]}, stored {stored[0][:8]})"
        )


def check_keys(clickhouse: ClickHouseSettings, keys: Mapping[Name, str]) -> None:
    """`check` for each key, for a process that starts. Raises UnreachableError without ClickHouse, too."""
    with clickhouse_client(clickhouse) as client:
        for name, key in keys.items():
            check(client, name, key)


def fingerprint(name: Name, key: str) -> str:
    """32 hexadecimal digits."""
    key = key.lower() if name == "data_key" else key  # hexadecimal digits
    return hmac.digest(key.encode(), f"Earshot: fingerprint of {name}".encode(), "sha256").hex()[:32]


def _stored(client: Client, name: Name) -> tuple[str, datetime] | None:
    rows = client.query(_STORED, {"name": name}, query_tz="UTC").result_rows
    return (str(rows[0][0]), rows[0][1]) if rows else None


def _store(client: Client, name: Name, own: str) -> tuple[str, datetime]:
    """Of two processes that store a first key at once, one does: their inserts have one token, so the server drops the second.

    A server that was killed may know a token and not have its row: then another token is used.
    """
    attempt = 0
    while True:
        client.insert(
            TABLE,
            [(name, own, datetime.now(UTC))],
            column_names=("name", "fingerprint", "made_at"),
            settings={"insert_deduplication_token": f"{TABLE}-{name}+{attempt}"},
        )
        if (stored := _stored(client, name)) is not None:
            return stored
        attempt += 1
