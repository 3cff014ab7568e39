"""`earshot backup`: a folder with what no replay rebuilds, a file a table, and a manifest.

ClickHouse writes each table as Parquet, in the order of its key, and it goes to the disk as it comes, so memory does not grow
with a table. Hidden rows are left out. Then the file is read once: it is whole, and the manifest has how many rows of different
keys a restore must find. Large tables, which follow from events, are ClickHouse's own BACKUP's (server_backup.py).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from io import IOBase
from pathlib import Path

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from pipeline.clickhouse.fingerprints import in_force
from pipeline.clickhouse.migrations import applied
from pipeline.clickhouse.query import one_line
from pipeline.config.keys import NAMES
from pipeline.errors import EarshotError, reason
from pipeline.maintenance.backup_files import counted
from pipeline.maintenance.backup_manifest import NAME, File, Manifest, write_manifest
from pipeline.maintenance.backup_tables import Table, described
from pipeline.privacy.whole_folder import new_file, whole_folder
from schemas.times import utc_now

NOTHING = "nothing was backed up"
_BLOCK = 1 << 20
_PARQUET: dict[str, object] = {
    "output_format_parquet_compression_method": "zstd",
    "output_format_parquet_row_group_size": 100_000,
    "output_format_parquet_row_group_size_bytes": 64 << 20,
    "output_format_parquet_string_as_string": 1,
    "max_execution_time": 0,
}


def back_up(
    client: Client, folder: Path, advance: Callable[[int, int], None], there: Callable[[str], str] = lambda name: ""
) -> Manifest:
    """Writes the folder; `advance` hears of the bytes, about: those done, and all. Processes may go on meanwhile. `there` is
    called first, with a name: what it returns, if anything, the server has of the other tables.

    Raises EarshotError for a folder that is there, a disk that is full, and without ClickHouse: then nothing is left.
    """
    own, tables, files, done = secrets.token_hex(8), described(client), [], 0
    size = sum(table.size for table in tables.values())
    with whole_folder(folder, [NAME, *(f"{name}.parquet" for name in tables)], "backup") as part:
        made_at = utc_now()
        server = there(f"earshot-{made_at:%Y%m%d-%H%M%S}-{own}")
        for name, table in tables.items():
            files.append(_write(client, part, name, table, partial(_tell, advance, done, table.size, size)))
            advance(done := done + table.size, size)
        with one_line(client):
            migrations = {name: str(checksum) for name, checksum in applied(client).items()}
            keys = {name: [each.fingerprint for each in in_force(client, name) if not each.unused] for name in NAMES}
        manifest = Manifest(
            own, made_at.isoformat(), version("earshot"), client.database or "", migrations, keys, files, server
        )
        write_manifest(part, manifest)
    return manifest


def _tell(advance: Callable[[int, int], None], before: int, most: int, size: int, written: int) -> None:
    advance(before + min(written, most), size)


def _write(client: Client, folder: Path, name: str, table: Table, advance: Callable[[int], None]) -> File:
    file, digest, size = folder / f"{name}.parquet", hashlib.sha256(), 0
    chosen = ", ".join(
        f"toString({column}) AS {column}" if type_.startswith("Enum") else column for column, type_ in table.columns.items()
    )
    order = f" ORDER BY {', '.join(f't.{column}' for column in table.key)}" if table.key else ""
    with _unbroken(client, name):
        with (
            os.fdopen(new_file(file), "wb") as out,
            client.raw_stream(f"SELECT {chosen} FROM {name} AS t{order}", {}, _PARQUET, "Parquet") as stream,
        ):
            for block in _blocks(stream):
                digest.update(block)
                size += out.write(block)
                advance(size)
        rows, distinct = counted(file, table.key)  # what broke off has no end that says it
    return File(name, rows, distinct, size, digest.hexdigest())


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
