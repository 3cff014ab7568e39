"""Table console_sessions: who is logged in, and links that log in once. Both by the hash of what cookie or link hold."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.query import LONG_SQL
from pipeline.errors import UnreachableError, reason
from pipeline.sinks.acts import record
from schemas.acts import Act

Kind = Literal["session", "link"]
ENDED = 1 << 62
"""Added to the version of a row that ended: no later change by somebody who did not know opens it again."""
_READ = """
SELECT hash, kind, actor, roles, way, entry, toUnixTimestamp64Milli(created_at), toUnixTimestamp64Milli(seen_at), ended, version
FROM console_sessions FINAL WHERE hash IN %(keys)s"""


class Row(NamedTuple):
    """A session, or a link. Times in seconds since 1970."""

    hash: str
    kind: Kind
    actor: str
    roles: tuple[str, ...]
    way: str
    entry: str
    created_at: float
    seen_at: float
    ended: bool = False
    version: int = 0


def new_token() -> str:
    """What a cookie or a link holds: 256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What the table knows a token by."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class SessionTable:
    """Reads and writes the table. `connect` makes the client, once it is needed. All methods block; threads may share it.

    Raises UnreachableError with the reason."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None

    def read(self, key: str) -> Row | None:
        """The newest version of the row with this hash."""
        return self.read_all([key]).get(key)

    def read_all(self, keys: Sequence[str]) -> dict[str, Row]:
        """The newest version of the rows with these hashes, by hash, in one question. Some may not be there."""
        with self.asking() as client:
            rows = client.query(_READ, {"keys": tuple(keys)}, settings=LONG_SQL).result_rows
        found = dict[str, Row]()
        for key, kind, actor, roles, way, entry, created, seen, ended, version in rows:
            times = created / 1000, seen / 1000
            found[key] = Row(key, kind, actor, tuple(roles), way, entry, *times, bool(ended), int(version))
        return found

    def write(self, row: Row, once: str = "") -> Row:
        """Writes the next version of a row, which the table has on return. Of several writes with the same token `once`, only
        the first has an effect: `read` says which one it was."""
        version = max(row.version % ENDED + 1, round(row.seen_at * 1000)) + (ENDED if row.ended else 0)
        row = row._replace(version=version)
        record = row._asdict() | {"ended": int(row.ended)}
        record |= {name: _time(getattr(row, name)) for name in ("created_at", "seen_at")}
        # Else each write has an effect: a server that is killed may know a token and not have its row.
        settings = {"insert_deduplication_token": once or secrets.token_hex(16)}
        with self.asking() as client:
            client.raw_insert("console_sessions", list(record), orjson.dumps(record), settings, "JSONEachRow")
        return row

    def record(self, act: Act) -> None:
        """Writes an act into table acts, which has it on return."""
        with self.asking() as client:
            record(client, act)

    @contextmanager
    def asking(self) -> Iterator[Client]:
        """The client; what it raises becomes UnreachableError."""
        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except (ClickHouseError, OSError) as error:
            raise UnreachableError(f"ClickHouse: {reason(error)}") from None


def _time(seconds: float) -> str:
    """As ClickHouse reads a DateTime64(3) from JSON: seconds, with a point."""
    return f"{seconds:.3f}"
