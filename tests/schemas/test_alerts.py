"""Alerts as they are stored: the fields of Alert, the columns of the table and the records of the topic are the same."""

from __future__ import annotations

import types
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import orjson
import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from schemas.alerts import COLUMNS, Alert, Change, Scope, State, alert_of, alert_rows, dump, parse_alert
from schemas.times import TIME
from tests.support.control_api import alert

AT = datetime(2026, 9, 1, 12, 30, 1, 234_000, tzinfo=UTC)
BARE = alert("bare", raised_at=None, expected=None, measure="", summary="")
FULL = replace(
    alert("full", type="keyword", state=State.RESOLVED, ended_at=AT, historical=True, test=True, lower=1.5, upper=2.5),
    scope=Scope("Acme", "x", "en", "feed"), terms=("a", "b"), samples=(2**64 - 1, 0), negative=1, neutral=2, positive=3,
    query="SELECT 1", actor="ines", comment="'\"\\", platforms=("x",), muted="silence 1",
)  # fmt: skip
CLICKHOUSE: dict[str, Any] = {
    "String": pl.String, "Float64": pl.Float64, "Bool": pl.Boolean, "UInt8": pl.UInt8, "UInt32": pl.UInt32, "UInt64": pl.UInt64,
    "DateTime64(3, 'UTC')": TIME, "Array(String)": pl.List(pl.String), "Array(UInt64)": pl.List(pl.UInt64),
}  # fmt: skip


def may_be_null() -> set[str]:
    return {name for name, hint in get_type_hints(Alert).items() if types.NoneType in get_args(hint)}


def test_the_columns_are_the_fields_of_an_alert() -> None:
    names = [field.name for field in fields(Alert)]
    assert set(COLUMNS) - {"alert_key", *Scope._fields} == set(names) - {"key", "scope"}
    hints = get_type_hints(Alert)
    assert all(hints[name] == hint for name, hint in get_type_hints(Change).items())


def test_the_table_has_these_columns(emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        rows = client.query("SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'alerts'")
    stored = {name: type_.replace("LowCardinality(String)", "String") for name, type_ in rows.result_rows}
    assert stored.pop("term") == "UInt64"  # of the leader that wrote it: no part of the alert
    plain = {
        name: type_.removeprefix("Nullable(").removesuffix(")" if type_.startswith("Nullable") else "")
        for name, type_ in stored.items()
    }
    assert {name: CLICKHOUSE[type_] for name, type_ in plain.items()} == COLUMNS
    assert {name for name, type_ in stored.items() if type_.startswith("Nullable")} == may_be_null()


@pytest.mark.parametrize("each", [BARE, FULL], ids=["bare", "full"])
def test_an_alert_is_read_as_it_was_written(each: Alert) -> None:
    frame = alert_rows([each])
    assert dict(frame.schema) == COLUMNS
    assert alert_of(frame.row(0, named=True)) == each
    assert parse_alert(dump(each)) == each


def test_a_record_from_before_platforms_were_named() -> None:
    record = orjson.loads(dump(BARE))
    del record["platforms"]
    assert parse_alert(orjson.dumps(record)) == BARE
