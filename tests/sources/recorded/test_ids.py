"""Ids that lost digits are refused and never collapse; ids that only look odd pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import load_mapping


def items_of(folder: Path, content: str, name: str = "rows.csv", **fields: Any) -> list[Mapped | Unmapped]:
    path = folder / name
    path.write_text(content, "utf-8")
    document = {
        "events": [{"fields": {"id": {"from": "id"}, "platform": "t", "kind": "post", "created_at": "2026-01-01T00:00:00Z"}}]
    }
    document["events"][0]["fields"] |= fields
    mapping = folder / "rows.mapping.yaml"
    mapping.write_text(yaml.safe_dump(document), "utf-8")
    return list(read_events(path, load_mapping(mapping)))


def csv_of(*ids: str) -> str:
    return "id,text\n" + "".join(f'"{each}",text {n}\n' for n, each in enumerate(ids))


def ids_of(items: list[Mapped | Unmapped]) -> list[Any]:
    return [item.event["id"] for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]


@pytest.mark.parametrize(
    "ids",
    [
        ("1.25018E+18", "1.25018E+18", "1.24021E+18"),
        ("1,25018E+18", "1,25018E+18"),
        ("1.25018e18", "1.25018e+18", "1e+18"),
        ("1250180000000000000.0", "1250180012345678900.0"),
        ("1250180012345670000", "1250180012345680000", "1250180012345690000"),
        ("1250180012345678900", "1250180098765432100", "1250180011111111000"),
        ("325208201740020000", "325301650791210000"),
        ("1234567890123450", "1234567890123460", "1234567890123470"),
        ("1.25018E+18", "1250180012345678900"),
        ("848.0", "850.0"),
        ("848.00", "850,0"),
    ],
)
def test_ids_that_lost_digits_are_refused_with_the_way_out(tmp_path: Path, ids: tuple[str, ...]) -> None:
    items = items_of(tmp_path, csv_of(*ids))
    assert ids_of(items) == []
    assert [item.line for item in items] == list(range(2, len(ids) + 2))
    for item in items:
        assert isinstance(item, Unmapped)
        assert item.reason.startswith("id: ")
        assert "hash: [...]" in item.reason or "find: '^[0-9]+'" in item.reason
        assert not any(each in item.reason for each in ids)


@pytest.mark.parametrize(
    "rows",
    ['{"id": 1.25018e18}\n{"id": 1.25018e18}\n', '{"id": 1250180012345678900.0}\n', '{"id": 5.5}\n', '{"id": 848.0}\n'],
)
def test_numbers_with_decimals_are_no_ids(tmp_path: Path, rows: str) -> None:
    assert ids_of(items_of(tmp_path, rows, "rows.jsonl")) == []


@pytest.mark.parametrize(
    "ids",
    [
        ("1250180012345678901", "1250180012345678900"),
        ("1250180012345678900",),  # one id may end in two zeros
        ("100", "200", "3000"),
        ("12e4567", "1e5a", "5e12", "12E45"),
        ("1.2.3", "v1.0", "a.0"),
        ("4b260623-a0d5-4ed3-a1b9-aab6cc36e4f6", "t3_1e5"),
        ("17841400000000000_123", "17841400000000000_124"),
        ("9007199254740993", "12345678901234567"),
    ],
)
def test_ids_that_are_whole_pass(tmp_path: Path, ids: tuple[str, ...]) -> None:
    assert ids_of(items_of(tmp_path, csv_of(*ids))) == list(ids)


def test_whole_numbers_in_json_pass(tmp_path: Path) -> None:
    rows = '{"id": 1250180012345678901}\n{"id": 123456789012345678901234567890}\n{"id": 7}\n'
    assert ids_of(items_of(tmp_path, rows, "rows.jsonl")) == ["1250180012345678901", "7"]


def test_a_reply_that_lost_digits_lands_without_its_parent(tmp_path: Path) -> None:
    rows = "id,parent\n1,1.25018E+18\n2,1250180000000000000.0\n3,7\n4,1250180012345678900\n"
    items = items_of(tmp_path, rows, in_reply_to={"from": "parent"})
    assert ids_of(items) == ["1", "2", "3", "4"]
    parents = [item.event.get("in_reply_to") for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]
    assert parents == [None, None, "7", None]
    assert [[each.field for each in item.left_out] for item in items if isinstance(item, Mapped)] == [
        ["in_reply_to"], ["in_reply_to"], [], ["in_reply_to"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [{"hash": ["id", "text"]}, {"hash": ["text", "$line"]}, {"from": "text"}],
)
def test_the_ways_out(tmp_path: Path, value: dict[str, Any]) -> None:
    found = ids_of(items_of(tmp_path, csv_of("1.25018E+18", "1.25018E+18", "1250180012345678900"), id=value))
    assert len(set(found)) == 3


def test_find_reads_the_digits_before_the_point(tmp_path: Path) -> None:
    assert ids_of(items_of(tmp_path, csv_of("848.0", "850.0"), id={"from": "id", "find": "^[0-9]+"})) == ["848", "850"]
    assert ids_of(items_of(tmp_path, csv_of("1.2E+18"), id={"template": "x-{id}"})) == []


def test_only_the_first_thousand_rows_are_judged(tmp_path: Path) -> None:
    zeros = [f"12501800{n:08d}000" for n in range(1, 1001)]
    assert ids_of(items_of(tmp_path, csv_of(*zeros, "1250180012345678901"))) == []
    assert len(ids_of(items_of(tmp_path, csv_of("1250180012345678901", *zeros)))) == 1001
