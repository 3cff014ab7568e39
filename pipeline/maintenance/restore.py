"""`earshot restore`: a backup into an empty database, without those who were erased since.

    sums -> table `restoring` is made -> tables -> terms -> erasures -> what they find is hidden -> the graph -> readmissions
    -> `restoring` goes

While table `restoring` is there no process starts, and its comment names the backup: who is killed runs it again, and it begins
anew. Of two at once the one that began last goes on. Nothing is written before all sums are right.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.fingerprints import check
from pipeline.clickhouse.migrations import RESTORING, applied
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import Keys
from pipeline.errors import ConflictError, EarshotError, MigrationError, SettingsError
from pipeline.maintenance.backup_files import pieces
from pipeline.maintenance.backup_manifest import File, Manifest
from pipeline.maintenance.backup_tables import Table, described
from schemas.times import utc_now

UNITED = ("acts", "erasures", "key_fingerprints", "suppressions")
"""Tables that may have rows before: those of the backup come to them, each row once by its key."""
FILLED = ("alerts_now",)
"""Tables that ClickHouse fills as the others are."""
LEADERS, RAISED = ("control", "customers"), 1_000
"""Who leads, and by how much a restore raises their terms: more than processes can have taken since the backup."""
AGAIN = "run it again"
_ASIDE = f"SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = '{RESTORING}'"
_RUNS = "(at DateTime64(3, 'UTC') DEFAULT now64(3), run String) ENGINE = MergeTree ORDER BY at"
_COUNT = """
SELECT count() FROM (SELECT 1 FROM {table} GROUP BY {key})
SETTINGS optimize_aggregation_in_order = 1, max_execution_time = 0"""


def check_target(client: Client, keys: Sequence[Keys], manifest: Manifest) -> None:
    """Returns if the backup fits: the same migrations, its keys, or those that followed them, and empty tables, or a restore of
    it that broke off.

    Raises EarshotError otherwise.
    """
    with one_line(client):
        here, there = {name: str(checksum) for name, checksum in applied(client).items()}, manifest.migrations
        if here != there:
            newest = max(there, default="none")
            raise MigrationError(
                f"the backup is of migration {newest}, database {client.database} is at {max(here, default='none')}, or of "
                f"another edition: restore with Earshot {manifest.earshot}, then run the `earshot migrate` of a newer one"
            )
        for each in keys:
            check(client, each, stores=False)
            _check_keys(each, manifest.keys.get(each.name, []))
        if (begun := _begun(client)) is not None and begun != manifest.id:
            raise ConflictError(
                f"a restore of backup {begun} into database {client.database} has not ended, and this is "
                f"{manifest.id}: restore that one, or begin with an empty database"
            )
        full = _full(client, manifest) if begun is None else []
    if full:
        raise ConflictError(
            f"database {client.database} is not empty ({', '.join(full[:3])}): restore into one that `earshot migrate` made, "
            "and in which no process has run"
        )


class Restore:
    """Writes a backup into a database that `check_target` has found fit. Each raises EarshotError: then the database is marked
    as not whole, and another one can begin anew."""

    def __init__(self, client: Client, manifest: Manifest) -> None:
        self._client, self._manifest, self._run = client, manifest, secrets.token_hex(8)

    def fill(self, folder: Path, advance: Callable[[int, int], None]) -> None:
        """Writes all tables; `advance` hears of the rows written, and how many there are."""
        client, files, done = self._client, self._manifest.files, 0
        with one_line(client):
            client.command(f"CREATE TABLE IF NOT EXISTS {RESTORING} {_RUNS} COMMENT '{self._manifest.id}'")
            client.insert(RESTORING, [[self._run]], column_names=["run"])
        for table in (*(each.table for each in files if each.table not in UNITED), *FILLED):
            self._check_alone()
            with one_line(client, AGAIN):
                client.command(f"TRUNCATE TABLE {table}")
        tables = described(client)
        for each in files:
            for number, piece in enumerate(pieces(folder / each.name)):
                self._check_alone()
                _insert(client, each.table, piece, f"restore-{self._run}-{each.table}-{number}")
                advance(done := done + piece.num_rows, self._manifest.rows)
            _check(client, each, tables[each.table])
        _raise_terms(client)

    def end(self) -> None:
        """The database is whole: processes may start."""
        self._check_alone()
        with one_line(self._client):
            self._client.command(f"DROP TABLE IF EXISTS {RESTORING} SYNC")

    def _check_alone(self) -> None:
        with one_line(self._client, AGAIN):
            rows = self._client.query(f"SELECT run FROM {RESTORING} ORDER BY at DESC, run DESC LIMIT 1").result_rows
        if rows != [(self._run,)]:
            raise ConflictError("another `earshot restore` of this backup has begun since, and goes on")


def _check_keys(keys: Keys, stored: list[str]) -> None:
    own = keys.fingerprints
    if [each for each in own if each in stored] != stored:
        lacking = next((each for each in stored if each not in own), stored[-1])
        raise SettingsError(
            f"setting privacy.{keys.name} is not the key of the backup (fingerprint {own[-1][:8] if own else 'none'}, the "
            f"backup's {lacking[:8]}): if it was changed since, privacy.older_{keys.name}s lacks the one of before"
        )


def _begun(client: Client) -> str | None:
    """Which backup's restore has not ended."""
    rows = client.query(_ASIDE).result_rows
    return str(rows[0][0]) if rows else None


def _full(client: Client, manifest: Manifest) -> list[str]:
    """Tables with rows that no migration writes: 009 gives control a term 0."""
    conditions = {each.table: "term > 0" if each.table == "leaders" else "1" for each in manifest.files}
    asked = {name: f"SELECT 1 FROM {name} WHERE {sql} LIMIT 1" for name, sql in conditions.items() if name not in UNITED}
    return [table for table, sql in asked.items() if client.query(sql).result_rows]


def _insert(client: Client, table: str, piece: pa.RecordBatch, token: str) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, piece.schema) as stream:
        stream.write_batch(piece)
    with one_line(client, AGAIN, what=f"restore of table {table}"):
        client.raw_insert(
            table,
            column_names=piece.schema.names,
            insert_block=sink.getvalue().to_pybytes(),
            fmt="ArrowStream",
            settings={"insert_deduplication_token": token, "max_partitions_per_insert_block": 0},
        )


def _check(client: Client, each: File, table: Table) -> None:
    """By different keys: of rows that agree in theirs one stays. There may be fewer where rows go when their time is over."""
    if not table.key:
        return
    with one_line(client, AGAIN):
        there = int(str(client.command(_COUNT.format(table=each.table, key=", ".join(table.key)))))
    if there < each.distinct and not table.expires:
        raise EarshotError(f"table {each.table} has {there:,} rows, and the backup {each.distinct:,}: {AGAIN}")
    if there > each.distinct and each.table not in UNITED:
        raise ConflictError(
            f"table {each.table} has {there:,} rows, and the backup {each.distinct:,}: stop what writes, and {AGAIN}"
        )


def _raise_terms(client: Client) -> None:
    """Who led after the backup took terms that it does not know. The next leader's is above them: no sequence or version of its
    own was ever seen in a topic, and what a process of then still writes is refused."""
    with one_line(client, AGAIN):
        terms = {name: term for name, term in client.query("SELECT name, max(term) FROM leaders GROUP BY name").result_rows}
        rows = [[name, int(terms.get(name, 0)) + RAISED, 0, False, utc_now()] for name in sorted({*terms, *LEADERS})]
        client.insert("leaders", rows, column_names=["name", "term", "holder", "released", "changed_at"])
