"""`earshot backup`: a folder with what no replay rebuilds, a file a table, and a manifest.

ClickHouse writes each table as Parquet, and it goes to the disk as it comes, so memory does not grow with a table. Hidden rows
are left out. Large tables, which follow from events, are ClickHouse's own BACKUP's: `statement` names them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from io import IOBase
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from pipeline.clickhouse.fingerprints import in_force
from pipeline.clickhouse.migrations import applied
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import NAMES
from pipeline.errors import EarshotError, reason
from pipeline.maintenance.backup_manifest import NAME, File, Manifest, kept_tables, write_manifest
from pipeline.privacy.register import TABLES
from pipeline.privacy.whole_folder import new_file, whole_folder
from schemas.times import utc_now

NOTHING = "nothing was backed up"
_BLOCK = 1 << 20
_PARQUET: dict[str, object] = {
    "output_format_parquet_compression_method": "zstd",
    "output_format_parquet_row_group_size": 100_000,
    "output_format_parquet_string_as_string": 1,
    "max_execution_time": 0,
}
_COLUMNS = """
SELECT name, type FROM system.columns
WHERE database = currentDatabase() AND table = '{}' AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position"""


def back_up(client: Client, folder: Path, advance: Callable[[int, int], None]) -> Manifest:
    """Writes the folder; `advance` hears of the tables that are done, and how many there are. Processes may go on meanwhile.

    Raises EarshotError for a folder that is there, a disk that is full, and without ClickHouse: then nothing is left.
    """
    tables, files = kept_tables(), []
    with whole_folder(folder, [NAME, *(f"{table}.parquet" for table in tables)], "backup") as part:
        for number, table in enumerate(tables, 1):
            files.append(_write(client, part, table))
            advance(number, len(tables))
        with one_line(client):
            migrations = {name: str(checksum) for name, checksum in applied(client).items()}
            keys = {name: [each.fingerprint for each in in_force(client, name) if not each.unused] for name in NAMES}
        manifest = Manifest(
            secrets.token_hex(8), utc_now().isoformat(), version("earshot"), client.database or "", migrations, keys, files
        )
        write_manifest(part, manifest)
    return manifest


def statement(database: str) -> str:
    """ClickHouse's own backup of the other tables."""
    tables = [f"TABLE {database}.{place.name}" for place in TABLES.values() if place.backup == "server"]
    return f"BACKUP {', '.join(tables)} TO Disk('backups', 'earshot-{utc_now():%Y%m%d-%H%M%S}')"


def _write(client: Client, folder: Path, table: str) -> File:
    file, digest, size = folder / f"{table}.parquet", hashlib.sha256(), 0
    with _unbroken(client, table):
        columns = client.query(_COLUMNS.format(table)).result_rows
        chosen = ", ".join(f"toString({name}) AS {name}" if type_.startswith("Enum") else name for name, type_ in columns)
        with (
            os.fdopen(new_file(file), "wb") as out,
            client.raw_stream(f"SELECT {chosen} FROM {table}", {}, _PARQUET, "Parquet") as stream,
        ):
            for block in _blocks(stream):
                digest.update(block)
                size += out.write(block)
        rows = pq.ParquetFile(file).metadata.num_rows  # what broke off has no end that says it
    return File(table, rows, size, digest.hexdigest())


def _blocks(stream: IOBase) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


@contextmanager
def _unbroken(client: Client, table: str) -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, HTTPError) as error:
        raise EarshotError(f"ClickHouse at {client.uri}, table {table}: {reason(error)}; {NOTHING}") from None
    except pa.ArrowInvalid:
        raise EarshotError(f"ClickHouse at {client.uri} broke off in table {table}; {NOTHING}") from None
