"""Mutated files and mappings: each row is an event or has its reason, each error is one line, and no line quotes a text."""

from __future__ import annotations

import gzip
import io
import json
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import EarshotError
from pipeline.kafka.event_producer import record_of
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import load_mapping
from pipeline.sources.recorded.suggest.write import suggest

AT = "2026-11-20T10:00:00Z"
SECRET = "Qwopzwig"
"""A word of every text and name in the files. No line for a person may hold it."""
TEXT = f"the {SECRET} kettle of {SECRET} is late again, and nobody answers"
ROWS = [
    {
        "id": str(number),
        "at": AT,
        "text": f"{TEXT} {number}",
        "who": f"Dr {SECRET} of the Lakes",
        "likes": number,
        "tags": ["a", "b"],
    }
    for number in range(6)
]
COLUMNS = ("id", "at", "text", "who", "likes", "tags")
TABLE = [COLUMNS, *([str(row[name]) for name in COLUMNS] for row in ROWS)]


def table(delimiter: str, quote: str, end: str = "\n") -> bytes:
    return end.join(delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in TABLE).encode()


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", content)
    return out.getvalue()


NESTED = {"data": {"items": [{**row, "replies": [{**row, "replies": ROWS[:2]}]} for row in ROWS[:3]]}}
FILES: list[tuple[str, bytes]] = [
    ("rows.csv", table(",", '"')),
    ("rows.csv", table(";", "")),
    ("rows.csv", table(",", '"', "\r\n")),
    ("rows.csv", table(",", '"', "\r")),
    ("rows.csv", table(",", '"').replace(b"nobody", "niemand: Zürich, 😠\n ".encode())),
    ("rows.csv", table(",", '"').decode().encode("utf-16")),
    ("rows.csv.gz", gzip.compress(table(",", '"'))),
    ("rows.zip", zipped(table(",", '"'))),
    ("rows.tsv", table("\t", "")),
    ("rows.json", json.dumps(ROWS).encode()),
    ("rows.json", json.dumps(ROWS, indent=1).encode()),
    ("rows.json", json.dumps({row["id"]: row for row in ROWS}).encode()),
    ("rows.json", json.dumps(NESTED).encode()),
    ("rows.jsonl", b"\n".join(json.dumps(row).encode() for row in ROWS)),
]
PIECES = [
    b'"', b"'", b"\n", b"\r", b"\r\n", b",", b";", b"\t", b"{", b"}", b"[", b"]", b":", b"\\", b"\\u", b"\\ud83d", b"\x00",
    b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"NaN", b"1e999", b"9" * 400, b"-", b"null", b"true", b'""',
    b"\x1f\x8b", b"PK\x03\x04", b"99999999999999999999", b"1.25E+18", b"2026-13-45T99:99:99Z", b"<script>", b"&#0;",
    b"(((((", b"[" * 3000, b'{"a":' * 1200, b"\xc3",
]  # fmt: skip
MAPPING: dict[str, Any] = {
    "defaults": {"platform": "test", "kind": "post"},
    "events": [
        {
            "fields": {
                "id": {"from": "id"},
                "created_at": {"from": "at", "time": "iso"},
                "text": {"from": "text", "find": "the.*"},
                "author.name": {"from": "who"},
                "metrics.likes": {"from": "likes"},
                "hashtags": {"from": "tags", "split": ";"},
                "direction": {"switch": [{"when": {"from": "who", "matches": "^x"}, "then": "outbound"}, {"then": "inbound"}]},
            }
        }
    ],
}
ODD: list[Any] = [
    None, "", " ", 0, -1, 1.5, True, [], {}, [[]], "x" * 500, "%Y", "%", "iso", "epoch_s", "epoch_ms", "snowflake", "+05:30",
    "Mars", "latin-1", "utf-16", "utf-99", "(", "(a+)+$", "{", "{id}", "{$line}", "$line", "$key", "$parent.x", "a.b.c", "*",
    "data.items", "data.*.replies", "json", "csv", "tsv", "jsonl", ";", "\t", "post", "twitter", "text", "id", ["id", "at"],
    {"from": "id"}, {"value": 1}, {"hash": ["id"]},
    {"template": "{id}/{at}"}, {"first": []}, {"switch": []}, 10**30, float("inf"), "html", "latin1",
]  # fmt: skip
KEYS = [
    "format", "encoding", "repair", "delimiter", "quotes", "columns", "skip", "rows", "member", "missing", "join", "files",
    "each", "when", "fields", "from", "time", "zone", "find", "map", "else", "split", "scale", "strip", "decimal",
    "template", "hash", "first", "switch", "value", "unescape", "nested", "created_at", "text", "in_reply_to", "rating",
    "brands", "original", "as", "list",
]  # fmt: skip
LIMIT_S = 20


def mutated_bytes(raw: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        at, end = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
        piece = chance.choice((chance.choice(PIECES), bytes((chance.randrange(256),)), chance.choice(FILES)[1][at:end]))
        raw = chance.choice(
            (
                raw[:at] + piece + raw[at:],
                raw[:at] + piece + raw[at + 1 :],
                raw[:at] + piece + raw[end:],
                raw[:at] + raw[min(end, at + 40) :],
                raw[:at] + raw[at:end] * 2 + raw[end:],
                raw[:end],
                raw[at:],
            )
        )
    return raw


def mutated_document(node: Any, chance: random.Random) -> Any:
    """The same document with a few values, keys or entries exchanged, added or left out."""
    if chance.random() < 0.03:
        return chance.choice(ODD)
    if isinstance(node, dict):
        changed = {key: mutated_document(value, chance) for key, value in node.items() if chance.random() > 0.02}
        if chance.random() < 0.08:
            changed[chance.choice(KEYS)] = chance.choice(ODD)
        return changed
    return [mutated_document(value, chance) for value in node] if isinstance(node, list) else node


def lines_for_a_person(folder: Path, seed: int) -> list[str]:
    """Everything that a mutated file with a mutated mapping says. Raises whatever is no EarshotError."""
    chance = random.Random(seed)
    name, raw = chance.choice(FILES)
    path = folder / name
    path.write_bytes(mutated_bytes(raw, chance))
    document = mutated_document(MAPPING, chance) if chance.random() < 0.6 else dict(MAPPING)
    if b"items" in raw and isinstance(document, dict) and chance.random() < 0.8:
        document["rows"] = "data.items"
    text = yaml.safe_dump(document).encode()
    mapping = folder / "m.yaml"
    mapping.write_bytes(mutated_bytes(text, chance) if chance.random() < 0.1 else text)
    said: list[str] = []
    if chance.random() < 0.2:
        try:
            suggest(path)  # its comments hold examples from the file, for the user alone
        except EarshotError as error:
            said.append(str(error))
    try:
        for item in read_events(path, load_mapping(mapping), said.append):
            if isinstance(item, Mapped):
                record_of(item.event)
                said += [field.reason for field in item.left_out]
            else:
                said.append(f"{path}:{item.line}: {item.reason}")
            assert item.line >= 1
    except EarshotError as error:
        said.append(str(error))
    return said


def check(folder: Path, seeds: range) -> None:
    for seed in seeds:
        start = time.monotonic()
        try:
            said = lines_for_a_person(folder, seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}") from error
        assert time.monotonic() - start < LIMIT_S, f"seed {seed}: slow"
        for line in said:
            assert "\n" not in line.strip("\n"), f"seed {seed}: more than one line"
            if not line.startswith(f"{folder / 'm.yaml'}"):  # a mapping is the user's own text
                assert SECRET.lower()[:6] not in line.lower(), f"seed {seed}: quotes the file"
            assert "Traceback" not in line


@pytest.mark.slow
def test_500_mutated_files_and_mappings(tmp_path: Path) -> None:
    check(tmp_path, range(500))


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(8))
def test_20_000_mutated_files_and_mappings(tmp_path: Path, part: int) -> None:
    check(tmp_path, range(500 + 2_500 * part, 500 + 2_500 * (part + 1)))
