"""Imports a CRM file: each record into table customers, then what it says into topic identity.

Records go in chunks: rows of the table first, evidence after them, and both are the same when they come again: a record
replaces itself, and of an edge the oldest counts. So an import that was killed is run again. What a later file no longer says
stays evidence: a link that was wrong is undone by a steward.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pipeline import migrate
from pipeline.clickhouse import fingerprints, rotating
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.embedded.privacy_keys import data_keys, hash_keys
from pipeline.errors import EarshotError
from pipeline.fence import OpenFence
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.kafka.event_producer import ctrl_c_sets
from pipeline.kafka.producer import Record, ReliableProducer
from pipeline.monitoring.health import Vitals
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.customers import CustomerTables
from pipeline.sources.crm.edges import edges_of
from pipeline.sources.crm.rows import Chunk, read_chunks
from pipeline.sources.recorded.archives import is_packed
from pipeline.sources.recorded.items import Damaged
from pipeline.sources.recorded.lines import count_lines
from pipeline.sources.recorded.reader import format_of
from pipeline.sources.recorded.unmapped_rows import UnmappedRow, UnmappedRows
from schemas.contacts import DEFAULT
from schemas.evidence import dump
from schemas.hashes import STORED
from schemas.times import TIME, to_ms, utc_now

TABLE = "customers"
_SUPPRESSED = "SELECT if(kind = 'value', value, toString(key)) AS found FROM suppressions FINAL WHERE kind = '{}'"
_OF = {"email": "author_email", "phone": "author_phone"}
"""The columns of a row of an event whose hashes are the same."""


@dataclass(slots=True)
class Imported:
    """The counts of an import, or with `dry_run` those that it would have."""

    rows: int = 0
    records: int = 0
    repeated: int = 0
    """Rows that say once more what an earlier one said."""
    left_out: UnmappedRows = field(default_factory=UnmappedRows)
    filled: Counter[str] = field(default_factory=Counter)
    """Records with a name, an address, a number, a time; accounts by id, and handles."""
    blocked: Counter[str] = field(default_factory=Counter)
    """Addresses and numbers that name nobody: they are kept, encrypted, and link nobody."""
    erased: int = 0
    """Records of persons who were erased: they are left out."""
    edges: int = 0
    notes: list[str] = field(default_factory=list)
    """What the file shows and is not certain."""
    damaged: bool = False
    """The file breaks off: its records up to there are imported."""
    interrupted: bool = False


class Import:
    """Imports the file, `columns` by field; with `dry_run` it is only read.

    Raises SettingsError for a column that is not there, and for a key that is missing or another one than before;
    UnreachableError and MigrationError as `migrate.check`; EarshotError for a file that can't be read.
    """

    def __init__(self, settings: Settings, path: Path, columns: Mapping[str, str], basis: str, dry_run: bool) -> None:
        self.report, self._path, self._region = Imported(), path, settings.privacy.region
        self._chunks = read_chunks(path, columns, settings.privacy.region, self.report.notes.append)
        self._writer = None if dry_run else _Writer(settings, _time_of(path), basis)

    def run(self, progress: Callable[[int, int | None], None] = lambda done, total: None) -> Imported:
        """Blocks while Kafka or ClickHouse is away. Ctrl-C ends it after a chunk, a second one at once. `progress` gets the
        lines so far and in all, None if nobody knows."""
        path, report, stop = self._path, self.report, threading.Event()
        local = 0
        total = None if not path.is_file() or is_packed(path) or format_of(path) == "json" else count_lines(path)
        with ctrl_c_sets(stop):
            for chunk in self._chunks:
                if self._writer is not None:
                    self._writer.write(chunk, report)
                _count(report, path, chunk)
                local += chunk.records.filter(~pl.col("phone").str.starts_with("+")).height
                progress(chunk.line, total)
                if stop.is_set():
                    report.interrupted = True
                    break
        if report.erased:
            report.notes.append(f"{report.erased:,} records are of persons who were erased, by id, address or number: left out")
        if local and not self._region:
            report.notes.append(
                f"{local:,} numbers have no + before them, and setting privacy.region names no country: each meets only "
                "numbers that are written as it is"
            )
        return report


def _time_of(path: Path) -> datetime:
    """When the file was written: the time of what it says where a record has none of its own, the same in a second import."""
    try:
        return min(datetime.fromtimestamp(os.stat(path).st_mtime, UTC), utc_now())
    except OSError as error:
        raise EarshotError(f"{path}: {error.strerror}") from None


def _count(report: Imported, path: Path, chunk: Chunk) -> None:
    report.rows += chunk.rows
    report.records += chunk.records.height
    report.repeated += chunk.repeated
    report.damaged |= any(isinstance(row, Damaged) for row in chunk.left_out)
    for row in chunk.left_out:
        report.left_out.append(UnmappedRow(path, row.line, row.reason))
    for name in (*ENCRYPTED, "since"):
        report.filled[name] += chunk.records.height - chunk.records.get_column(name).null_count()
    report.filled["accounts"] += chunk.accounts.get_column("id").count()
    report.filled["handles"] += chunk.accounts.get_column("handle").count()


class _Writer:
    """Writes chunks."""

    def __init__(self, settings: Settings, written_at: datetime, basis: str) -> None:
        hashing, encrypting = hash_keys(settings), data_keys(settings)
        self._privacy = Pseudonymise(hashing, settings.privacy.region, DEFAULT)
        self._encryption = Encryption(encrypting)
        migrate.check(settings)
        fingerprints.check_keys(settings.clickhouse, hashing, encrypting)
        fence, vitals, kafka = OpenFence(), Vitals(), settings.kafka
        client = clickhouse_client(settings.clickhouse)
        rotating.refuse(client, "import")
        self._inserter = Inserter(client, fence, vitals, "crm import")
        topic = kafka.topic("identity")
        self._producer = ReliableProducer(kafka.client(), topic, "evidence", fence, vitals, "crm import")
        self._version, rules = CustomerTables(self._inserter).rules()
        self._privacy.block(rules.contacts(self._privacy.hashes))
        self._at, self._imported_at, self._basis = to_ms(written_at), utc_now(), basis

    def write(self, chunk: Chunk, report: Imported) -> None:
        """On return table and topic have the chunk."""
        records = self._hashed(chunk.records)
        erased = self._erased(records).get_column("profile").implode()
        for name in _OF:
            given, kept = (records.get_column(column).null_count() for column in (name, f"{name}_hash"))
            report.blocked[name] += kept - given
        admitted = records.filter(~pl.col("profile").is_in(erased))
        report.erased += records.height - admitted.height
        self._inserter.insert_all(TABLE, self._rows(admitted), 0)
        edges = edges_of(records, chunk.accounts, self._basis, self._version).filter(~pl.col("a").is_in(erased))
        refused = self._producer.send([Record(record) for record in dump(edges, imported=True)], 0)
        for why in refused.values():
            raise EarshotError(f"topic identity refuses a record of evidence: {why.why}")
        report.edges += edges.height

    def _erased(self, records: pl.DataFrame) -> pl.DataFrame:
        """Those of persons who were erased, by id, address or number."""
        keys = {kind: self._inserter.query(_SUPPRESSED.format(kind)).get_column("found") for kind in ("account", "value")}
        of = pl.col("profile").cast(pl.String).is_in(keys["account"].implode())
        values = self._privacy.hashes(STORED, keys["value"].to_list())
        for name in _OF:
            of |= pl.col(f"{name}_hash").is_in(values).fill_null(False)
        return records.filter(of)

    def _hashed(self, records: pl.DataFrame) -> pl.DataFrame:
        hashes = [
            self._privacy.hash(records.get_column(name).alias(column)).alias(f"{name}_hash") for name, column in _OF.items()
        ]
        return records.with_columns(*hashes, at=pl.col("since").dt.epoch("ms").fill_null(self._at))

    def _rows(self, records: pl.DataFrame) -> pl.DataFrame:
        """Rows of table customers."""
        profiles = records.get_column("profile").to_list()
        hidden = [self._encrypted(profiles, records.get_column(name)) for name in ENCRYPTED]
        hashes = [pl.col(f"{name}_hash").fill_null("") for name in _OF]
        return records.select(
            "profile",
            "id",
            *hidden,
            *hashes,
            basis=pl.lit(self._basis),
            imported_at=pl.lit(self._imported_at, TIME),
            sealed_by=pl.lit(self._encryption.sealed_by, pl.UInt32),
        )

    def _encrypted(self, profiles: list[int], texts: pl.Series) -> pl.Series:
        encrypt, column = self._encryption.encrypt, texts.name
        values = [encrypt(profile, column, text or "") for profile, text in zip(profiles, texts, strict=True)]
        return pl.Series(column, values, dtype=pl.String)
