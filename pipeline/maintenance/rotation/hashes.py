"""Hashes of addresses and numbers, raised to those of the newest key (schemas/hashes.py) where they stand.

    suppressions, beside the old ones -> raised_hashes: old and new -> rules -> rows of tables -> edges: by `earshot customers`

The old suppressions go in a run that finds nothing else of an older key: until then a worker that was not started again knows
by them whom to drop. So they are left after the first run, and after one that goes on with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import fingerprints, rotating
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import HashKeys, Name
from pipeline.identity.raised import TYPES
from pipeline.maintenance.rotation.hashed_rows import TABLES, Database, Rows
from pipeline.maintenance.rotation.work import Advance, Done, Work
from pipeline.sinks import raised_hashes
from schemas.hashes import HASH, Chain


def works(client: Client, keys: HashKeys) -> list[Work]:
    """All of them, in their order; none where there was never another key."""
    if keys.generation < 2:
        return []
    database = Database(client, Chain([key.encode() for key in keys.all]))
    rows: list[Work] = [Rules(database), *(Rows(database, *each) for each in TABLES)]
    edges = Edges(database)
    with one_line(client):
        stored = fingerprints.in_force(client, keys.name)
    first = rotating.there(client) or any(each.fingerprint != keys.fingerprints[-1] for each in stored[-1:])
    suppressed = Suppressed(database, rows, first)
    return [suppressed, Noted(database, [suppressed, *rows, edges]), *rows, edges]


class Suppressed:
    """The work of table suppressions; `others` are what has to be done before old rows go. `first`: processes were not started
    again since the key was put in force."""

    table: str = "suppressions"
    columns: tuple[str, ...] = ("value",)
    key: Name = "hash_key"
    _OF = "SELECT kind, key, value, erasure, at, is_deleted FROM suppressions FINAL WHERE kind = 'value'"

    def __init__(self, database: Database, others: Sequence[Work], first: bool) -> None:
        self._database, self._others = database, others
        self._last = False if first else None
        self._older = database.older("value")

    def left(self) -> int:
        return self._database.count(f"suppressions FINAL WHERE kind = 'value' AND {self._older}")

    def run(self, advance: Advance) -> Done:
        """What is suppressed is suppressed by its newest hash, too, or alone."""
        query, chain = self._database.inserter.query, self._database.chain
        old = query(f"{self._OF} AND {self._older}")
        raised = old.with_columns(pl.Series("value", chain.all_raised(old.get_column("value")), dtype=pl.String))
        new = raised.join(query(self._OF), on=["value", "erasure"], how="anti")
        if new.height:
            self._database.insert("suppressions", new)
        if self._last is None:
            self._last = not any(work.left() for work in self._others)
        if self._last and old.height:
            self._database.command(f"DELETE FROM suppressions WHERE kind = 'value' AND {self._older}")
            advance(old.height)
            return Done(old.height)
        return Done(0, old.height, "hashes of persons who were erased: they go when this is run again" if old.height else "")


class Noted:
    """The work of table raised_hashes; `others` are what it is needed for."""

    table: str = raised_hashes.TABLE
    columns: tuple[str, ...] = ("old", "new")
    key: Name = "hash_key"

    def __init__(self, database: Database, others: Sequence[Work]) -> None:
        self._database, self._others = database, others

    def left(self) -> int:
        """It is not a work's own."""
        return 0

    def run(self, advance: Advance) -> Done:
        """Before the others: what they change is noted. What somebody with a later key has noted stays."""
        if any(work.left() for work in self._others):
            raised_hashes.note(self._database.inserter, self._database.chain)
        elif not self._database.count(f"{raised_hashes.TABLE} WHERE generation > {self._database.chain.generation}"):
            self._database.command(f"TRUNCATE TABLE {raised_hashes.TABLE}")
        return Done()


class Rules:
    """The work of table identity_rules."""

    table: str = "identity_rules"
    columns: tuple[str, ...] = ("rules",)
    key: Name = "hash_key"

    def __init__(self, database: Database) -> None:
        self._database = database

    def left(self) -> int:
        return self._old().height

    def run(self, advance: Advance) -> Done:
        """Of two rows of a version the one that was written last counts; the one before goes with a merge."""
        rules, raised = self._old(), self._database.chain.raised
        if rules.height:
            texts = [re.sub(f'"({HASH})"', lambda found: f'"{raised(found[1])}"', text) for text in rules["rules"]]
            self._database.insert("identity_rules", rules.with_columns(pl.Series("rules", texts)))
            self._database.command("OPTIMIZE TABLE identity_rules FINAL")
            advance(rules.height)
        return Done(rules.height)

    def _old(self) -> pl.DataFrame:
        hashes = f"""extractAll(rules, '"({HASH})"')"""
        older = f"arrayExists(each -> {self._database.older('each')}, {hashes})"
        return self._database.inserter.query(f"SELECT * FROM identity_rules FINAL WHERE {older}")


class Edges:
    """The work of table identity_edges, which `earshot customers` does when it starts: it has the edges in memory, too."""

    table: str = "identity_edges"
    columns: tuple[str, ...] = ("b",)
    key: Name = "hash_key"

    def __init__(self, database: Database) -> None:
        self._database = database

    def left(self) -> int:
        mark = f"name = '{raised_hashes.REKEYED}' AND value >= {self._database.chain.generation}"
        if self._database.count(f"identity_marks WHERE {mark}"):
            return 0
        return self._database.count(f"identity_edges WHERE kind = 'value' AND type IN {TYPES}")

    def run(self, advance: Advance) -> Done:
        left = self.left()
        return Done(0, left, "identity_edges: `earshot customers` makes their keys anew when it starts" if left else "")
