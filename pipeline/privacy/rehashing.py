"""The hashes of addresses and numbers in tables, once the hash key was changed (schemas/hashes.py): each is raised where it
stands, beside inserts and queries.

    suppressions, beside the old ones -> raised_hashes: old and new -> the rules -> the tables -> suppressions: old ones away

A mutation writes the columns of hashes anew, a month at a time. What a hash becomes it looks up in table `raising`, which has a
part of raised_hashes in memory: keys never leave this process. A hash that it does not find stays, for the next pass. Restart:
it begins anew, and what is raised already is not older any more.

The old suppressions go in a run that finds nothing else of an earlier key: until then a worker that was not started again knows
by them whom to drop.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import LONG_SQL, one_line
from pipeline.errors import EarshotError
from pipeline.identity.raised import TYPES
from pipeline.sinks import raised_hashes
from schemas.hashes import HASH, Chain, older_sql

RAISING = "raising"
PASSES = 3
"""What other processes wrote meanwhile is raised, but for what one writes that goes on with the keys of before."""
POLL_S = 0.2
_RUNNING = f"""
SELECT count(), max(latest_fail_reason) FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done AND position(command, '{RAISING}') > 0"""
_OTHERS = """
SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN ({names})
AND (engine NOT LIKE '%MergeTree' OR engine LIKE 'Replicated%') ORDER BY name"""
Advance = Callable[[int, int], None]
"""Hears how many rows of how many are done."""
Sql = Callable[[str], str]


class Hashed(NamedTuple):
    """A table with hashes of addresses and numbers."""

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


TABLES: Mapping[str, Hashed] = MappingProxyType(
    {
        "interactions": Hashed(
            "[author_email, author_phone]",
            lambda new: f"author_email = {new('author_email')}, author_phone = {new('author_phone')}",
        ),
        "pending_changes": Hashed(
            "[JSONExtractString(change, 'author_email'), JSONExtractString(change, 'author_phone')]", _change
        ),
        "dead_letters": Hashed("contacts", lambda new: f"contacts = arrayMap(each -> {new('each')}, contacts)"),
        "customers": Hashed(
            "[email_hash, phone_hash]", lambda new: f"email_hash = {new('email_hash')}, phone_hash = {new('phone_hash')}"
        ),
    }
)
RULES, EDGES, SUPPRESSIONS = "identity_rules", "identity_edges", "suppressions"
PLACES = (*TABLES, RULES, EDGES, SUPPRESSIONS, raised_hashes.TABLE)
"""All tables with hashes that the key makes."""


class Rehashing:
    """Raises all hashes. Every method raises EarshotError."""

    def __init__(self, client: Client, inserter: Inserter, chain: Chain) -> None:
        self._client, self._inserter, self._chain = client, inserter, chain
        self._joined = ""

    def check(self) -> None:
        """Raises EarshotError where it can't be done, or was never tried."""
        names = ", ".join(f"'{name}'" for name in PLACES)
        if found := [str(row[0]) for row in self._rows(_OTHERS.format(names=names))]:
            raise EarshotError(f"tables are replicated or of a cluster ({', '.join(found[:3])}), where no key was ever changed")

    def left(self) -> dict[str, int]:
        """How many rows of each table have a hash of an earlier key. Those of edges wait for `earshot customers` to start."""
        newest = self._chain.generation
        counts = {table: self._count(f"{table} WHERE {self._older(table)}") for table in TABLES}
        counts[RULES] = len(self._old_rules())
        counts[SUPPRESSIONS] = self._count(f"{SUPPRESSIONS} FINAL WHERE kind = 'value' AND {older_sql('value', newest)}")
        marked = f"identity_marks WHERE name = '{raised_hashes.REKEYED}' AND value >= {newest}"
        keyed = newest == 1 or self._count(marked)
        counts[EDGES] = 0 if keyed else self._count(f"{EDGES} WHERE kind = 'value' AND type IN {TYPES}")
        return counts

    def run(self, advance: Advance = lambda done, rows: None) -> int:
        """Raises what is there. Returns how many rows came meanwhile from processes that have the keys of before."""
        self.check()
        self._command(f"CREATE TABLE IF NOT EXISTS {RAISING} (old String, new String) ENGINE = Join(ANY, LEFT, old)")
        self._wait()
        last = not any(self.left()[table] for table in TABLES)
        self._suppress()
        late = 0
        for number in range(PASSES):
            raised_hashes.note(self._inserter, self._chain)
            self._raise_rules()
            done = self._raise_rows(advance)
            late += done if number else 0
            if not done:
                break
        if last:
            self._command(f"DELETE FROM {SUPPRESSIONS} WHERE kind = 'value' AND {older_sql('value', self._chain.generation)}")
        if not any(self.left().values()):
            self._command(f"TRUNCATE TABLE {raised_hashes.TABLE}")
        self._command(f"DROP TABLE IF EXISTS {RAISING} SYNC")
        return late

    # --- tables -------------------------------------------------------------------------------------------------------
    def _raise_rows(self, advance: Advance) -> int:
        """One pass; returns how many rows had older hashes."""
        months = [(table, month, rows) for table in TABLES for month, rows in self._months(table)]
        total, done = sum(rows for _, _, rows in months), 0
        for part in raised_hashes.parts(self._inserter, self._chain) if months else ():
            self._command(f"TRUNCATE TABLE {RAISING}")
            self._command(f"INSERT INTO {RAISING} SELECT old, new FROM {part}")
            for table, month, _ in months:
                self._raise_month(table, month)
                left = sum(self._count(f"{table} WHERE {self._older(table)}") for table in TABLES)
                advance(max(done, total - left), total)
        return total

    def _months(self, table: str) -> list[tuple[str, int]]:
        """The partitions that have rows with older hashes, and how many."""
        rows = self._rows(f"SELECT _partition_id, count() FROM {table} WHERE {self._older(table)} GROUP BY 1 ORDER BY 1")
        return [(str(month), int(count)) for month, count in rows]

    def _raise_month(self, table: str, month: str) -> None:
        assignments = TABLES[table].update(self._new)
        older = self._older(table)
        self._command(
            f"ALTER TABLE {table} UPDATE {assignments} IN PARTITION ID '{month}' WHERE {older} SETTINGS mutations_sync = 0"
        )
        self._wait()

    def _wait(self) -> None:
        """Until no mutation of ours runs, also not one of a process that was killed: it goes on in the server."""
        while True:
            [(running, failed)] = self._rows(_RUNNING)
            if not running:
                return
            if failed:
                where = f"database = currentDatabase() AND NOT is_done AND position(command, '{RAISING}') > 0"
                self._command(f"KILL MUTATION WHERE {where} SYNC")
                raise EarshotError(f"ClickHouse can't write hashes anew: {failed.splitlines()[0][:300]}")
            time.sleep(POLL_S)

    def _new(self, text: str) -> str:
        return f"ifNull(nullIf(joinGet('{self._client.database}.{RAISING}', 'new', {text}), ''), {text})"

    def _older(self, table: str) -> str:
        return f"arrayExists(each -> {older_sql('each', self._chain.generation)}, {TABLES[table].hashes})"

    # --- rules and suppressions ---------------------------------------------------------------------------------------
    def _old_rules(self) -> pl.DataFrame:
        found = f"extractAll(rules, '\"({HASH})\"')"
        older = f"arrayExists(each -> {older_sql('each', self._chain.generation)}, {found})"
        return self._inserter.query(f"SELECT * FROM {RULES} FINAL WHERE {older}")

    def _raise_rules(self) -> None:
        """The row of a version that was written last counts; the one before goes with a merge."""
        rules = self._old_rules()
        if not rules.height:
            return
        texts = [re.sub(f'"({HASH})"', lambda found: f'"{self._chain.raised(found[1])}"', text) for text in rules["rules"]]
        self._inserter.insert_all(RULES, rules.with_columns(pl.Series("rules", texts)), self._inserter.fence.generation)
        self._command(f"OPTIMIZE TABLE {RULES} FINAL")

    def _suppress(self) -> None:
        """Each suppressed address and number is suppressed by its newest hash, too."""
        of = "SELECT kind, key, value, erasure, at, is_deleted FROM suppressions FINAL WHERE kind = 'value'"
        old = self._inserter.query(f"{of} AND {older_sql('value', self._chain.generation)}")
        raised = old.with_columns(pl.Series("value", self._chain.all_raised(old.get_column("value")), dtype=pl.String))
        new = raised.join(self._inserter.query(of), on=["value", "erasure"], how="anti")
        if new.height:
            self._inserter.insert_all(SUPPRESSIONS, new, self._inserter.fence.generation)

    # --- ClickHouse ---------------------------------------------------------------------------------------------------
    def _count(self, what: str) -> int:
        [(count,)] = self._rows(f"SELECT count() FROM {what}")
        return int(count)

    def _rows(self, sql: str) -> Sequence[Sequence[Any]]:
        with one_line(self._client):
            return self._client.query(sql, settings=LONG_SQL).result_rows

    def _command(self, sql: str) -> None:
        with one_line(self._client):
            self._client.command(sql, settings=LONG_SQL)
