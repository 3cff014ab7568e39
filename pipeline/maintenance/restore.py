"""`earshot restore`: a backup into an empty database, without those who were erased since.

    sums -> table `restoring` is made -> tables -> erasures -> what they find is hidden -> the graph -> `restoring` goes

While table `restoring` is there no process starts, and its comment names the backup: who is killed runs it again, and it begins
anew. Nothing is written before all sums are right.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.fingerprints import check
from pipeline.clickhouse.migrations import RESTORING, applied
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import Keys
from pipeline.errors import ConflictError, EarshotError, MigrationError, SettingsError
from pipeline.maintenance.backup_manifest import File, Manifest

UNITED = ("acts", "erasures", "key_fingerprints", "suppressions")
"""Tables that may have rows before: those of the backup come to them, each row once by its key."""
FILLED = ("alerts_now",)
"""Tables that ClickHouse fills as the others are."""
PIECE = 50_000
"""Rows of one insert."""
ASIDE = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = '{}'"


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
                f"a restore of backup {begun} into database {client.database} has not ended, this is {manifest.id}"
            )
        full = _full(client, manifest) if begun is None else []
    if full:
        raise ConflictError(
            f"database {client.database} is not empty ({', '.join(full[:3])}): restore into one that `earshot migrate` made, "
            "and in which no process has run"
        )


def fill(client: Client, folder: Path, manifest: Manifest, advance: Callable[[int, int], None]) -> None:
    """Writes all tables; `advance` hears of the rows written, and how many there are. Raises EarshotError: then the database is
    marked as not whole, and this can be called again."""
    with one_line(client):
        client.command(
            f"CREATE TABLE IF NOT EXISTS {RESTORING} (at DateTime) ENGINE = MergeTree ORDER BY at COMMENT '{manifest.id}'"
        )
        for table in (*(each.table for each in manifest.files if each.table not in UNITED), *FILLED):
            client.command(f"TRUNCATE TABLE {table}")
    run, done = secrets.token_hex(8), 0
    for each in manifest.files:
        for number, piece in enumerate(_pieces(folder / each.name)):
            _insert(client, each.table, piece, f"restore-{run}-{each.table}-{number}")
            advance(done := done + piece.num_rows, manifest.rows)
        _check(client, each)


def end(client: Client) -> None:
    """The database is whole: processes may start. Raises EarshotError."""
    with one_line(client):
        client.command(f"DROP TABLE IF EXISTS {RESTORING} SYNC")


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
    rows = client.query(ASIDE.format(RESTORING)).result_rows
    return str(rows[0][0]) if rows else None


def _full(client: Client, manifest: Manifest) -> list[str]:
    tables = [each.table for each in manifest.files if each.table not in UNITED]
    return [table for table in tables if client.query(f"SELECT 1 FROM {table} LIMIT 1").result_rows]


def _pieces(path: Path) -> Sequence[pa.RecordBatch]:
    file = pq.ParquetFile(path)
    return file.iter_batches(PIECE)  # type: ignore[no-any-return]


def _insert(client: Client, table: str, piece: pa.RecordBatch, token: str) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, piece.schema) as stream:
        stream.write_batch(piece)
    with one_line(client, what=f"restore of table {table}"):
        client.raw_insert(
            table,
            column_names=piece.schema.names,
            insert_block=sink.getvalue().to_pybytes(),
            fmt="ArrowStream",
            settings={"insert_deduplication_token": token, "max_partitions_per_insert_block": 0},
        )


def _check(client: Client, each: File) -> None:
    """Rows may be fewer: repeated ones are merged, and those go whose time is over."""
    with one_line(client):
        there = bool(client.query(f"SELECT 1 FROM {each.table} LIMIT 1").result_rows)
    if each.rows and not there:
        raise EarshotError(f"table {each.table} is empty, and the backup has {each.rows:,} rows of it: run it again")
