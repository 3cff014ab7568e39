"""Mentions and privacy: what a row says about brands, and what it must not say in clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.processors.mentions import Brands, Mentions, load_brands
from pipeline.processors.privacy import Pseudonymise
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from tests.sources.bad_records import event

BRANDS = Brands.model_validate(
    {
        "brands": [
            {"name": "Northwind", "handles": ["@northwind"], "keywords": ["northwind", "north wind air"]},
            {"name": "Zëta", "handles": ["zeta"], "keywords": ["zëta"]},
            {"name": "Air", "keywords": ["air"]},
        ]
    }
)


def brands_of(**fields: Any) -> list[str]:
    frame = Mentions(BRANDS).process(Decode().process(batch_of([event(text="nothing"), event(**fields)]))).events
    assert frame.get_column("brands")[0].to_list() == []
    found: list[str] = frame.get_column("brands")[1].to_list()
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "I love Northwind!"}, ["Northwind"]),
        ({"text": "NORTHWIND"}, ["Northwind"]),
        ({"text": "northwinds"}, []),
        ({"text": "thanks @northwind_help"}, []),
        ({"text": "thanks @NorthWind."}, ["Northwind"]),
        ({"text": "fly north wind air"}, ["Air", "Northwind"]),
        ({"text": "fair enough, airy"}, []),
        ({"text": "ZËTA und zëta"}, ["Zëta"]),
        ({"text": "日本air日本"}, ["Air"]),
        ({"text": None, "mentions": ["@Northwind", "zeta", "somebody"]}, ["Northwind", "Zëta"]),
        ({"text": "air", "brands": ["Given", "Air", None, ""]}, ["Air", "Given"]),
        ({"text": ""}, []),
    ],
)
def test_brands(fields: dict[str, Any], expected: list[str]) -> None:
    assert brands_of(**fields) == expected


def test_no_brands_at_all() -> None:
    frame = Mentions(Brands(brands=())).process(Decode().process(batch_of([event(text="air")]))).events
    assert frame.get_column("brands").to_list() == [[]]


@pytest.mark.parametrize(
    ("text", "says"),
    [("brands: [{nam: x}]", "brands.0"), ("brands: 5", "brands"), ("- [", "line"), ("other: 1", "brands"), ("", "brands.yaml")],
)
def test_a_broken_file_is_one_line_that_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "brands.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_brands(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_addresses_are_hashed_and_equal_ones_stay_equal() -> None:
    people = [{"email": " Ann@Example.org ", "phone": "+1 (555) 01-02"}, {"email": "ann@example.org", "phone": "+15550102"}, {}]
    batch = Decode().process(batch_of([event(author=person) for person in people]))
    frame = Pseudonymise(b"key").process(batch).events
    first, second, none = frame.select("author_email", "author_phone").rows()
    assert first == second
    assert none == (None, None)
    assert all(len(value) == 64 and "555" not in value[:3] for value in first)
    other = Pseudonymise(b"other").process(Decode().process(batch_of([event(author=people[0])]))).events
    assert other.get_column("author_email")[0] != first[0]
