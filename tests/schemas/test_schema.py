"""schemas/events.py, social_event.v1.json, the DDL and the examples say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from pipeline.batch import EventBatch
from pipeline.clickhouse.migrations import read_migrations
from pipeline.sinks.landing import COLUMNS
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas import events

ROOT = Path(events.__file__).parent
SCHEMA = json.loads((ROOT / "social_event.v1.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
VALID = sorted((ROOT / "examples" / "valid").glob("*.json"))
INVALID = sorted((ROOT / "examples" / "invalid").glob("*.json"))

JSON_TYPES = {
    "string": ["string", "null"],
    "strings": ["array", "null"],
    "int": ["integer", "null"],
    "float": ["number", "null"],
    "bool": ["boolean", "null"],
}
CLICKHOUSE_TYPES = {
    "string": {"String", "LowCardinality(String)"},
    "strings": {"Array(String)", "Array(LowCardinality(String))"},
    "int": {"Nullable(Int64)"},
    "float": {"Nullable(Float64)"},
    "bool": {"Nullable(Bool)"},
}
PIPELINE_COLUMNS = {
    "event_key": "UInt64", "revision": "UInt64", "version": "UInt64", "is_deleted": "UInt8",
    "create_revisions": "Array(UInt64)", "other_created_at": "DateTime64(3, 'UTC')",
    "landed_at": "DateTime64(3, 'UTC')", "moved_to": "DateTime64(3, 'UTC')",
    "text_at": "DateTime64(3, 'UTC')", "metrics_at": "DateTime64(3, 'UTC')", "author_at": "DateTime64(3, 'UTC')",
    "topic": "LowCardinality(String)", "partition": "Int32", "offset": "Int64", "ingested_at": "DateTime64(3, 'UTC')",
    "brands_given": "Array(LowCardinality(String))", "brands_linked": "Array(String)",
    "text_sketch": "Array(UInt32)", "account_key": "UInt64", "customer_key": "UInt64",
    "sentiment_label": "LowCardinality(String)", "sentiment_negative": "Nullable(Float32)",
    "sentiment_neutral": "Nullable(Float32)", "sentiment_positive": "Nullable(Float32)",
    "sentiment_score": "Nullable(Float32)", "sentiment_model": "LowCardinality(String)",
    "sentiment_language": "LowCardinality(String)", "sentiment_status": "LowCardinality(String)",
    "sentiment_reason": "String",
}  # fmt: skip


def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in schema["properties"].items():
        if "properties" in node:
            assert node["type"] == ["object", "null"]
            yield from leaves(node, f"{prefix}{name}.")
        else:
            yield prefix + name, {**node, **SCHEMA["$defs"].get(node.get("$ref", "").removeprefix("#/$defs/"), {})}


def columns_of_interactions() -> dict[str, str]:
    """Column -> type, of the table's first form and of all migrations since."""
    statements = [statement for migration in read_migrations() for statement in migration.statements]
    created = next(each for each in statements if each.startswith("CREATE TABLE interactions"))
    columns = dict(re.findall(r"(?m)^    (?!INDEX)(\w+) (.+?)(?: COMMENT '.*')?,?$", created.split("\nENGINE")[0]))
    for statement in statements:
        if statement.startswith("ALTER TABLE interactions"):
            ends = r"(?= (?:COMMENT|DEFAULT|ALIAS|MATERIALIZED|AFTER)\b|,?$)"
            added = re.findall(rf"(?m)\bADD COLUMN (?:IF NOT EXISTS )?(\w+) (.+?){ends}", statement)
            assert len(added) == statement.count("ADD COLUMN")
            changed = re.findall(rf"(?m)\bMODIFY COLUMN (\w+) (?!REMOVE)(.+?){ends}", statement)
            assert len(changed) + statement.count("REMOVE DEFAULT") == statement.count("MODIFY COLUMN")
            columns.update(added + changed)
    return columns


def decoded(record: bytes) -> EventBatch:
    return Decode().process(batch_of([record], first_offset=7))


def test_the_json_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_json_schema_has_each_field_and_no_other() -> None:
    assert sorted(path for path, _ in leaves(SCHEMA)) == sorted(field.path for field in events.FIELDS)


@pytest.mark.parametrize("field", events.FIELDS, ids=lambda field: field.path)
def test_a_field_has_its_type_in_the_json_schema(field: events.Field) -> None:
    node = dict(leaves(SCHEMA))[field.path]
    assert node["description"]
    if field.values:
        assert node["enum"] == [*field.values, None]
    elif field.path in ("id", "platform"):
        assert node["type"] == "string"
    else:
        assert node["type"] == JSON_TYPES[field.kind]
    text = node["items"] if field.kind == "strings" else node
    assert text.get("maxLength", 0) == field.limit


def test_names_that_become_keys_have_a_limit() -> None:
    """What a table or a process keeps as a dictionary has few values, and short ones."""
    dictionaries = {name for name, of in columns_of_interactions().items() if "LowCardinality" in of} - PIPELINE_COLUMNS.keys()
    bounded = {field.column for field in events.FIELDS if field.limit or field.values or field.path == "platform"}
    assert dictionaries <= bounded
    assert {"id", "author_id", "author_handle", "brands", "campaign", "thread_assignee"} <= bounded


def test_platform_pattern_and_bounds_are_those_of_the_code() -> None:
    nodes = dict(leaves(SCHEMA))
    assert nodes["platform"]["pattern"] == events.PLATFORM_PATTERN
    assert (nodes["metrics.likes"]["minimum"], nodes["metrics.likes"]["maximum"]) == (-(2**63), 2**63 - 1)
    assert re.match(nodes["created_at"]["pattern"], events.EARLIEST)


def test_interactions_has_a_column_for_each_field_and_what_the_pipeline_adds() -> None:
    columns = columns_of_interactions()
    assert set(COLUMNS) <= columns.keys()
    for field in events.FIELDS:
        expected = {"DateTime64(3, 'UTC')"} if field.path in events.TIMES else CLICKHOUSE_TYPES[field.kind]
        assert columns.pop(field.column, None) in expected, field.path
    assert columns == PIPELINE_COLUMNS


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in read_migrations()] == list(range(1, len(read_migrations()) + 1))


def test_each_kind_and_operation_has_an_example() -> None:
    examples = [json.loads(path.read_bytes()) for path in VALID]
    assert {e.get("kind") for e in examples} >= set(events.KINDS)
    assert {e.get("operation") for e in examples} >= set(events.OPERATIONS)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_example_validates_and_decodes(path: Path) -> None:
    event = orjson.loads(path.read_bytes())
    VALIDATOR.validate(event)
    batch = decoded(path.read_bytes())
    assert batch.rejected == []
    row = batch.events.row(0, named=True)
    assert row["platform"] == event["platform"] and row["id"] == event["id"]
    assert row["text"] == event.get("text")
    assert row["author_handle"] == (event.get("author") or {}).get("handle")
    assert row["metrics_likes"] == (event.get("metrics") or {}).get("likes")
    accounts = [each for each in (event.get("author") or {}).get("accounts", []) if ":" in (each or "")]
    assert (row["author_accounts"] or []) == accounts
    assert batch.notes["unknown_field"] == int("unknown" in path.stem)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_example_neither_validates_nor_decodes(path: Path) -> None:
    try:
        event = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        pass  # broken text: no JSON Schema comes this far
    else:
        assert list(VALIDATOR.iter_errors(event))
    batch = decoded(path.read_bytes())
    assert batch.events.is_empty()
    assert [(r.raw, r.offset, bool(r.reason)) for r in batch.rejected] == [(path.read_bytes(), 7, True)]
