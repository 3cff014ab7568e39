"""Hashes in rows of tables, raised where they stand.

A mutation writes the columns of hashes anew, a month at a time. What a hash becomes it looks up in table `raising`, which has a
part of raised_hashes in memory: keys never leave this process. A hash that it does not find stays, for the next pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import LONG_SQL, one_line
from pipeline.config.keys import Name
from pipeline.errors import EarshotError
from pipeline.fence import OpenFence
from pipeline.maintenance.rotation.work import Advance, Done
from pipeline.monitoring.health import Vitals
from pipeline.sinks import raised_hashes
from schemas.hashes import Chain, older_sql

RAISING = "raising"
POLL_S = 0.2
_RUNS = f"database = currentDatabase() AND NOT is_done AND position(command, '{RAISING}') > 0"
Sql = Callable[[str], str]


class Database:
    """ClickHouse, and the keys. Every method raises EarshotError."""

    def __init__(self, client: Client, chain: Chain) -> None:
        self.chain = chain
        self.inserter = Inserter(client, OpenFence(), Vitals(), "keys rotate")
        self._client = client

    @property
    def name(self) -> str:
        return str(self._client.database)

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        with one_line(self._client):
            return self._client.query(sql, settings=LONG_SQL).result_rows

    def count(self, what: str) -> int:
        [(count,)] = self.rows(f"SELECT count() FROM {what}")
        return int(count)

    def command(self, sql: str) -> None:
        with one_line(self._client):
            self._client.command(sql, settings=LONG_SQL)

    def insert(self, table: str, rows: pl.DataFrame) -> None:
        self.inserter.insert_all(table, rows, self.inserter.fence.generation)

    def older(self, text: str) -> str:
        """SQL: whether the text is a hash of an older key."""
        return older_sql(text, self.chain.generation)


class Hashed(NamedTuple):
    """A table whose rows have hashes."""

    table: str
    columns: tuple[str, ...]
    """As the register names them."""
    hashes: str
    """SQL: those of a row, an array."""
    update: Callable[[Sql], str]
    """SQL: the assignments that raise them; it gets what makes the SQL of a raised hash."""


def _change(new: Sql) -> str:
    """Raises both in the JSON of a waiting change: a quote inside a text of it has a backslash before it."""
    change = "change"
    for name in ("author_email", "author_phone"):
        hashed = f"JSONExtractString(change, '{name}')"
        texts = (f"""concat('"{name}":"', {each}, '"')""" for each in (hashed, new(hashed)))
        change = f"replaceOne({change}, {', '.join(texts)})"
    return f"change = {change}"


TABLES = (
    Hashed(
        "interactions",
        ("author_email", "author_phone"),
        "[author_email, author_phone]",
        lambda new: f"author_email = {new('author_email')}, author_phone = {new('author_phone')}",
    ),
    Hashed(
        "pending_changes",
        ("author_email", "author_phone"),
        "[JSONExtractString(change, 'author_email'), JSONExtractString(change, 'author_phone')]",
        _change,
    ),
    Hashed("dead_letters", ("contacts",), "contacts", lambda new: f"contacts = arrayMap(each -> {new('each')}, contacts)"),
    Hashed(
        "customers",
        ("email_hash", "phone_hash"),
        "[email_hash, phone_hash]",
        lambda new: f"email_hash = {new('email_hash')}, phone_hash = {new('phone_hash')}",
    ),
)


class Rows:
    """The work of a table. Whatever its rows have besides hashes is not written, where their parts are large."""

    key: Name = "hash_key"

    def __init__(
        self, database: Database, table: str, columns: tuple[str, ...], hashes: str, update: Callable[[Sql], str]
    ) -> None:
        self.table, self.columns, self._database, self._update = table, columns, database, update
        self._older = f"arrayExists(each -> {database.older('each')}, {hashes})"

    def left(self) -> int:
        """Old versions of rows count, too."""
        return self._database.count(f"{self.table} WHERE {self._older}")

    def run(self, advance: Advance) -> Done:
        """A month after the other."""
        database, done = self._database, 0
        database.command(f"CREATE TABLE IF NOT EXISTS {RAISING} (old String, new String) ENGINE = Join(ANY, LEFT, old)")
        self._wait()
        months = database.rows(f"SELECT _partition_id, count() FROM {self.table} WHERE {self._older} GROUP BY 1 ORDER BY 1")
        for part in raised_hashes.parts(database.inserter, database.chain) if months else ():
            database.command(f"TRUNCATE TABLE {RAISING}")
            database.command(f"INSERT INTO {RAISING} SELECT old, new FROM {part}")
            for month, _ in months:
                done += (raised := self._raise(str(month)))
                advance(raised)
        database.command(f"DROP TABLE IF EXISTS {RAISING} SYNC")
        return Done(done)

    def _raise(self, month: str) -> int:
        """Returns how many rows it was."""
        of_month = f"{self.table} WHERE _partition_id = '{month}' AND {self._older}"
        if not (before := self._database.count(of_month)):
            return 0
        assignments = self._update(self._new)
        # Its end is asked for: an answer after hours would be none.
        update = f"ALTER TABLE {self.table} UPDATE {assignments} IN PARTITION ID '{month}' WHERE {self._older}"
        self._database.command(f"{update} SETTINGS mutations_sync = 0")
        self._wait()
        return max(0, before - self._database.count(of_month))

    def _new(self, text: str) -> str:
        return f"ifNull(nullIf(joinGet('{self._database.name}.{RAISING}', 'new', {text}), ''), {text})"

    def _wait(self) -> None:
        """Until no mutation of ours runs, also not one of a process that was killed: it goes on in the server."""
        while True:
            [(running, failed)] = self._database.rows(
                f"SELECT count(), max(latest_fail_reason) FROM system.mutations WHERE {_RUNS}"
            )
            if not running:
                return
            if failed:
                self._database.command(f"KILL MUTATION WHERE {_RUNS} SYNC")
                raise EarshotError(f"ClickHouse can't write hashes anew: {failed.splitlines()[0][:300]}")
            time.sleep(POLL_S)
