"""Fingerprints of the keys that a database was written with. Another key would not fail: it would recognise nobody again, and
read nothing of what was encrypted. So a process with another key does not start.

A fingerprint is the key's HMAC of a fixed text: it does not give the key away, and says no more about a weak one than the
hashes of known addresses do. The first process that uses a key stores it; `earshot keys rotate` stores that of each next
generation, which is in force from then on. Restart: read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import Keys, Name
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import ConflictError, SettingsError

TABLE = "key_fingerprints"
_LOST = {
    "hash_key": "nobody would be recognised again",
    "data_key": "nothing that it encrypted could be read",
}
_STORED = f"""
SELECT generation, argMin(fingerprint, (made_at, fingerprint)), min(made_at), max(unused) FROM {TABLE}
WHERE name = {{name:String}} GROUP BY generation ORDER BY generation"""


class Generation(NamedTuple):
    """A key that is in force, or was."""

    number: int
    """1: the first."""
    fingerprint: str
    since: datetime
    unused: bool
    """Nothing is of this key any more: settings may lack it."""


def check(client: Client, keys: Keys, *, stores: bool = True) -> None:
    """Returns if these are the keys in force; the first key ever stays. Without `stores`: who only reads, and finds no
    fingerprint, leaves none.

    Raises SettingsError, one line without a key, for others; EarshotError if ClickHouse refuses.
    """
    with one_line(client):
        stored = in_force(client, keys.name)
        if keys and not stored and stores:
            stored = _store(client, keys.name, keys.fingerprints, 1)
    if (wrong := unlike(keys, stored)) is not None:
        raise SettingsError(f"{wrong} (database {client.database})")


def check_keys(clickhouse: ClickHouseSettings, *keys: Keys) -> None:
    """`check` of each, for a process that starts. Raises UnreachableError without ClickHouse, too."""
    with clickhouse_client(clickhouse) as client:
        for each in keys:
            check(client, each)


def in_force(client: Client, name: Name) -> list[Generation]:
    """The generations, oldest first: the last is in force. Raises ClickHouseError."""
    rows = client.query(_STORED, {"name": name}, query_tz="UTC").result_rows
    return [Generation(int(number), str(own), since, bool(unused)) for number, own, since, unused in rows]


def unlike(keys: Keys, stored: Sequence[Generation]) -> str | None:
    """Why these keys are not those that are stored; None: they are, or nothing is stored."""
    if not stored:
        return None
    name, older, first, newest = f"setting privacy.{keys.name}", f"privacy.older_{keys.name}s", stored[0], stored[-1]
    own, known = keys.fingerprints, [each.fingerprint for each in stored]
    if not set(own) & set(known):
        said = own[-1][:8] if own else "none"
        return (
            f"{name} is not the key that the database was first written with, on {first.since:%Y-%m-%d}: with another one "
            f"{_LOST[keys.name]} (fingerprint {said}, stored {newest.fingerprint[:8]})"
        )
    if newest.fingerprint not in own:
        return (
            f"{name} is not the key in force: that is generation {newest.number}, since {newest.since:%Y-%m-%d} (fingerprint "
            f"{newest.fingerprint[:8]}): set it, and those before it in {older}, the first one first"
        )
    if lacking := [each for each in stored if each.fingerprint not in own and not each.unused]:
        return f"setting {older} lacks the key of generation {lacking[0].number} (fingerprint {lacking[0].fingerprint[:8]})"
    if _upto(own, newest) != [each for each in known if each in own]:
        return f"setting {older} has a key that the database does not know, or another order: the first one is first"
    if own[-1] != newest.fingerprint:
        return f"{name} is a new key (fingerprint {own[-1][:8]}): `earshot keys rotate` puts it in force"
    return None


def following(client: Client, keys: Keys) -> list[str]:
    """The fingerprints of the keys that are not in force yet. Raises SettingsError if they don't follow those in force."""
    with one_line(client):
        stored, own = in_force(client, keys.name), keys.fingerprints
    before = len(_upto(own, stored[-1])) if stored else 0
    if (wrong := unlike(type(keys)(keys.all[: before or None]), stored)) is not None:
        forgot = f"; to change it, that key stays in privacy.older_{keys.name}s" if keys and not before else ""
        raise SettingsError(f"{wrong} (database {client.database}){forgot}")
    return own[before:]


def put_in_force(client: Client, keys: Keys) -> int:
    """Stores the generations after the one in force, and returns how many: processes with the keys of before do not start any
    more. 0: it is done already.

    Raises as `following`, and ConflictError if another one was put in force at once.
    """
    if not (new := following(client, keys)):
        return 0
    with one_line(client):
        stored = in_force(client, keys.name)
        stored = _store(client, keys.name, new, stored[-1].number + 1 if stored else 1)
    if [each.fingerprint for each in stored[-len(new) :]] != new:
        raise ConflictError(f"another {keys.name} was put in force at once: `earshot keys show` says which")
    return len(new)


def note_unused(client: Client, name: Name, generation: Generation) -> None:
    """From now on settings may lack this key. It may be called again. Raises EarshotError."""
    with one_line(client):
        _insert(client, [(name, generation.fingerprint, datetime.now(UTC), generation.number, 1)], "")


def _upto(own: list[str], newest: Generation) -> list[str]:
    """Those up to the one in force; none: it is not there."""
    return own[: own.index(newest.fingerprint) + 1] if newest.fingerprint in own else []


def _store(client: Client, name: Name, new: Sequence[str], first: int) -> list[Generation]:
    """Of two processes that store a generation at once, one does: their inserts have one token, so the server drops the second.

    A server that was killed may know a token and not have its row: then another token is used.
    """
    attempt, now = 0, datetime.now(UTC)
    while True:
        token = f"{TABLE}-{name}+{attempt}" if first == 1 else f"{TABLE}-{name}-{first}+{attempt}"
        _insert(client, [(name, own, now, first + number, 0) for number, own in enumerate(new)], token)
        stored = in_force(client, name)
        if stored and stored[-1].number >= first:
            return stored
        attempt += 1


def _insert(client: Client, rows: Sequence[tuple[str, str, datetime, int, int]], token: str) -> None:
    names = ("name", "fingerprint", "made_at", "generation", "unused")
    client.insert(TABLE, rows, column_names=names, settings={"insert_deduplication_token": token} if token else None)
