"""Tables `suppressions` and `erasures`: whose events are dropped, and the receipts (schemas/erasures.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import INSERT_MAX_S
from schemas.erasures import COLUMNS, HANDLE, Erasure, Keys
from schemas.times import TIME, to_ms, utc_now

PIECE = 500_000
"""Rows of one insert: ClickHouse takes them as one block, so all of them are there or none."""
_RECEIPTS = f"SELECT {', '.join(COLUMNS)} FROM erasures FINAL WHERE {{where}} ORDER BY asked_at, id"


def suppression_rows(keys: Keys, erasure: int, at: datetime, lifted: bool = False) -> pl.DataFrame:
    """The keys as rows of table suppressions, which gives each its `sequence`."""
    of_kinds = [
        pl.DataFrame(
            {
                "kind": ["account"] * len(keys.accounts),
                "key": keys.accounts,
                "value": [HANDLE if key in keys.handles else "" for key in keys.accounts],
            },
            _TYPES,
        ),
        pl.DataFrame({"kind": ["value"] * len(keys.values), "key": [0] * len(keys.values), "value": keys.values}, _TYPES),
        pl.DataFrame({"kind": ["event"] * len(keys.events), "key": keys.events, "value": [""] * len(keys.events)}, _TYPES),
    ]
    return pl.concat(of_kinds).with_columns(
        erasure=pl.lit(erasure, pl.UInt64), at=pl.lit(at).cast(TIME), is_deleted=pl.lit(int(lifted), pl.UInt8)
    )


_TYPES = {"kind": pl.String(), "key": pl.UInt64(), "value": pl.String()}


def suppress(inserter: Inserter, rows: pl.DataFrame, generation: int = 0) -> None:
    """On return the keys are suppressed, or lifted: accounts and values in the first insert. Raises as Inserter.insert_all."""
    for piece in rows.iter_slices(PIECE):
        inserter.insert_all("suppressions", piece, generation)


def write_receipt(client: Client, erasure: Erasure) -> None:
    """The receipt as it is now counts from here on. Raises ClickHouseError, OSError."""
    erasure.version = max(erasure.version + 1, to_ms(utc_now()))
    token = f"erasures-{erasure.id:016x}-{erasure.version}"
    settings = {"insert_deduplication_token": token, "max_execution_time": f"{INSERT_MAX_S:g}"}
    client.insert("erasures", [erasure.row()], column_names=COLUMNS, settings=settings)


def receipts(client: Client, where: str = "1") -> Iterator[Erasure]:
    """The receipts, oldest first. Raises ClickHouseError."""
    for row in client.query(_RECEIPTS.format(where=where), query_tz="UTC", tz_mode="aware").result_rows:
        given: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
        yield Erasure(**given)
