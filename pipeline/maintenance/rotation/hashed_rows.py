"""Hashes in rows of tables, raised by a copy of each row.

A copy has the version of its row and other hashes, so nothing that a worker writes meanwhile is overwritten, and whoever reads
both has the same row but for the hash; a merge, a month at a time, leaves the copy, which came later. What a hash becomes is
looked up in table `raising`, which has a part of raised_hashes in memory: keys never leave this process. A hash that is not
found stays, for the next pass.

No mutation: until its end nobody could read the table, as readers apply mutations on the fly (clickhouse/pins.py), and
ClickHouse refuses that for one with a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import LONG_SQL, one_line
from pipeline.config.keys import Name
from pipeline.fence import OpenFence
from pipeline.maintenance.rotation.work import Advance, Done
from pipeline.monitoring.health import Vitals
from pipeline.sinks import raised_hashes
from schemas.hashes import Chain, older_sql

RAISING = "raising"
_COLUMNS = """
SELECT name FROM system.columns
WHERE database = currentDatabase() AND table = '{}' AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position"""
_COPY: dict[str, object] = {**LONG_SQL, "insert_deduplicate": 0}
_MERGE: dict[str, object] = {**LONG_SQL, "optimize_throw_if_noop": 1}
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

    def command(self, sql: str, settings: Mapping[str, object] = LONG_SQL) -> None:
        with one_line(self._client):
            self._client.command(sql, settings=dict(settings))

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
    raised: Callable[[Sql], Mapping[str, str]]
    """The columns that have them, with the SQL of what they become; it gets what makes the SQL of a raised hash."""


def _change(new: Sql) -> Mapping[str, str]:
    """Raises both in the JSON of a waiting change: a quote inside a text of it has a backslash before it."""
    change = "change"
    for name in ("author_email", "author_phone"):
        hashed = f"JSONExtractString(change, '{name}')"
        texts = (f"""concat('"{name}":"', {each}, '"')""" for each in (hashed, new(hashed)))
        change = f"replaceOne({change}, {', '.join(texts)})"
    return {"change": change}


TABLES = (
    Hashed(
        "interactions",
        ("author_email", "author_phone"),
        "[author_email, author_phone]",
        lambda new: {column: new(column) for column in ("author_email", "author_phone")},
    ),
    Hashed(
        "pending_changes",
        ("author_email", "author_phone"),
        "[JSONExtractString(change, 'author_email'), JSONExtractString(change, 'author_phone')]",
        _change,
    ),
    Hashed("dead_letters", ("contacts",), "contacts", lambda new: {"contacts": f"arrayMap(each -> {new('each')}, contacts)"}),
    Hashed(
        "customers",
        ("email_hash", "phone_hash"),
        "[email_hash, phone_hash]",
        lambda new: {column: new(column) for column in ("email_hash", "phone_hash")},
    ),
)


class Rows:
    """The work of a table."""

    key: Name = "hash_key"

    def __init__(
        self,
        database: Database,
        table: str,
        columns: tuple[str, ...],
        hashes: str,
        raised: Callable[[Sql], Mapping[str, str]],
    ) -> None:
        self.table, self.columns, self._database, self._hashes = table, columns, database, hashes
        self._raised = raised
        self._older = f"arrayExists(each -> {database.older('each')}, {hashes})"

    def left(self) -> int:
        """Old versions of rows count, too."""
        return self._database.count(f"{self.table} WHERE {self._older}")

    def run(self, advance: Advance) -> Done:
        """A month after the other."""
        database, done = self._database, 0
        database.command(f"CREATE TABLE IF NOT EXISTS {RAISING} (old String, new String) ENGINE = Join(ANY, LEFT, old)")
        months = database.rows(f"SELECT _partition_id, count() FROM {self.table} WHERE {self._older} GROUP BY 1 ORDER BY 1")
        for month, rows in months:
            for piece in pieces(int(rows)):
                self._copy(f"{self.table} WHERE _partition_id = '{month}' AND {self._older} AND {piece.format(self._hashes)}")
            database.command(f"OPTIMIZE TABLE {self.table} PARTITION ID '{month}' FINAL", _MERGE)
            raised = max(0, int(rows) - database.count(f"{self.table} WHERE _partition_id = '{month}' AND {self._older}"))
            done += raised
            advance(raised)
        database.command(f"DROP TABLE IF EXISTS {RAISING} SYNC")
        return Done(done)

    def _copy(self, rows: str) -> None:
        database, there = self._database, f"arrayExists(each -> {self._look_up('each')} != '', {self._hashes})"
        names = [str(name) for (name,) in database.rows(_COLUMNS.format(self.table))]
        raised = self._raised(self._new)
        values = ", ".join(raised.get(name, name) for name in names)
        database.command(f"TRUNCATE TABLE {RAISING}")
        database.command(
            f"INSERT INTO {RAISING} SELECT old, new FROM {raised_hashes.TABLE} FINAL "
            f"WHERE startsWith(new, '{database.chain.generation}-') AND old IN (SELECT arrayJoin({self._hashes}) FROM {rows})"
        )
        database.command(f"INSERT INTO {self.table} ({', '.join(names)}) SELECT {values} FROM {rows} AND {there}", _COPY)

    def _look_up(self, text: str) -> str:
        return f"joinGet('{self._database.name}.{RAISING}', 'new', {text})"

    def _new(self, text: str) -> str:
        return f"ifNull(nullIf({self._look_up(text)}, ''), {text})"


def pieces(rows: int) -> list[str]:
    """Conditions that share so many rows out, each with its hashes whole: SQL of these goes into the braces."""
    count = -(-rows // raised_hashes.PIECE)
    return [f"cityHash64({{}}) % {count} = {number}" for number in range(count)]
