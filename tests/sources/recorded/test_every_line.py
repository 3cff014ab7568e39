"""For every file: each line is in a row that gave its events, or in one that is unmapped with its reason.

An independent reader says which lines begin a row: Python's csv and json modules, or plain splitting. The recorded files hold
real people's words: assertions compare lines and hashes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash

from pipeline.errors import EarshotError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import MappingFile, find_mapping, load_mapping
from tests.sources.recorded.test_delimited import AT, mapping

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data"))
SEMEVAL = DATA / "sentiment" / "semeval_en"
CASES = DATA / "cases"
LINES_OF_SEMEVAL = 50_334


def digest(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


def csv_rows(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row, by the csv module; a bare carriage return is a letter for it here."""
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\ue000"), newline="\n")
    reader = csv.reader(lines, delimiter=delimiter)
    line = 1
    for row in reader:
        yield line, [cell.replace("\ue000", "\r") for cell in row]
        line = reader.line_num + 1


def accounted(items: list[Mapped | Unmapped], rows: dict[int, int]) -> None:
    """Each row (by line, with the number of its events) gave them or has one reason each; there are no others."""
    found: dict[int, int] = {}
    for item in items:
        found[item.line] = found.get(item.line, 0) + 1
        assert isinstance(item, Mapped) or item.reason
    assert found.keys() == rows.keys()
    assert {line: count for line, count in found.items() if count != rows[line]} == {}


# --- made here ------------------------------------------------------------------------------------------------------
def table(delimiter: str) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["id", "at", "text"])
    for number in range(300):
        text = ["plain", "a\nb\n\nc", 'say "hi"', f"a{delimiter}b", "x\ry", "", "😠 é", "\t ", "2,2,2"][number % 9]
        at = AT if number % 7 else "soon"
        writer.writerow([str(number), at, text] if number % 11 else [str(number), text])
        if number % 50 == 0:
            out.write("\n")
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_line_of_a_table_is_accounted_for(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = table(delimiter)
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode(encoding))
    items = list(read_events(path, mapping(delimiter=delimiter)))
    rows = dict(csv_rows(text, delimiter))
    del rows[1]
    accounted(items, dict.fromkeys(rows, 1))
    for item in items:
        cells = rows[item.line]
        if isinstance(item, Unmapped):
            assert len(cells) != 3 or cells[1] == "soon"
        else:
            assert isinstance(item.event, dict)
            assert (item.event["id"], item.event.get("text", "")) == (cells[0], cells[2].strip())


def test_each_element_of_a_document_is_accounted_for(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": str(number), "at": AT if number % 7 else "soon", "text": '[}\\"'} for number in range(300)]
    rows[5], rows[77] = "no object", [1]
    for indent in (None, 2):
        path = tmp_path / "rows.json"
        path.write_text(json.dumps(rows, indent=indent))
        items = list(read_events(path, mapping()))
        accounted(items, dict.fromkeys(range(1, 301), 1))
        bad = {number + 1 for number, row in enumerate(rows) if not isinstance(row, dict) or row["at"] == "soon"}
        assert {item.line for item in items if isinstance(item, Unmapped)} == bad


# --- recorded -------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not SEMEVAL.is_dir(), reason=f"no recorded data: EARSHOT_DATA ({DATA}) holds no sentiment/semeval_en")
def test_every_line_of_semeval_is_a_row() -> None:
    fields = {"id": {"hash": ["id", "text"]}, "created_at": {"value": AT}, "text": {"from": "text"}}
    lines = 0
    for path in sorted(SEMEVAL.glob("*.tsv")):
        columns = ["id", "label", "text", *["more"] * ("2016test" in path.name)]
        given = mapping(columns=columns, events=[{"fields": fields}])
        items = list(read_events(path, given))
        expected = path.read_text("utf-8").removesuffix("\n").split("\n")
        accounted(items, dict.fromkeys(range(1, len(expected) + 1), 1))
        wrong = [
            item.line
            for item in items
            if isinstance(item, Unmapped)
            or not isinstance(item.event, dict)
            or digest(item.event["text"]) != digest(expected[item.line - 1].split("\t")[2].strip())  # type: ignore[arg-type]
        ]
        assert wrong == [], path.name
        lines += len(items)
    assert lines == LINES_OF_SEMEVAL


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "stream").is_dir(), reason=f"no recorded data: EARSHOT_DATA ({DATA}) holds no stream/")
def test_every_row_of_the_stream_is_accounted_for() -> None:
    seen = 0
    for path in sorted((DATA / "stream").iterdir()):
        given = find_mapping(path)
        if given is None:
            continue
        items = list(read_events(path, given))
        if path.suffix == ".csv":
            starts = [line for line, _ in csv_rows(path.read_bytes().decode("utf-8-sig"))][1:]
        else:
            starts = list(range(1, len(json.loads(path.read_bytes())) + 1))
        assert sorted({item.line for item in items}) == starts, path.name
        assert [item.line for item in items if isinstance(item, Unmapped)] == [], path.name
        seen += 1
    assert seen >= 7


# --- the cases ------------------------------------------------------------------------------------------------------
LANDED: dict[str, tuple[list[str], int]] = {  # texts, unmapped
    "bom-quoted.csv": (["hello"], 0),
    "by-id.json": (["a", "b"], 0),
    "cr-only.csv": (["hello", "hello2"], 0),
    "gz.csv.gz": (["one", "two"], 0),
    "json-one-bad.json": (["one", "three"], 1),
    "preamble.csv": (["one"], 0),
    "semicolon.csv": (["hallo; du", "gut"], 0),
    "tsv-quote.tsv": (['"Acme is late again', "Acme lost my bag", 'thank you "Acme"', "fine"], 0),
    "utf16.csv": (["héllo"], 0),
}


def case(name: str, **keys: Any) -> tuple[list[Mapped | Unmapped], list[str]]:
    path = CASES / name
    given = find_mapping(path) or load_mapping(CASES / "preamble.mapping.yaml")
    said: list[str] = []
    return list(read_events(path, MappingFile.model_validate({**_dumped(given), **keys}), said.append)), said


def _dumped(given: MappingFile) -> dict[str, Any]:
    return given.model_dump(by_alias=True, exclude_unset=True)


def texts_of(items: list[Mapped | Unmapped]) -> list[str]:
    return [str(item.event["text"]) for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases: EARSHOT_DATA ({DATA}) holds no cases/")
@pytest.mark.parametrize("name", LANDED)
def test_a_case_of_a_file(name: str) -> None:
    items, _ = case(name)
    assert (texts_of(items), sum(isinstance(item, Unmapped) for item in items)) == LANDED[name]


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases: EARSHOT_DATA ({DATA}) holds no cases/")
def test_cases_that_need_a_key_or_are_made(tmp_path: Path) -> None:
    items, said = case("facebook.json")
    assert any("repair: latin1" in note for note in said)
    items, _ = case("facebook.json", repair="latin1")
    assert texts_of(items) == ["Acme déçu 😠 Zürich"]
    path = tmp_path / "long-lines.csv"
    path.write_bytes(subprocess.check_output([sys.executable, str(CASES / "make-long-lines.py")]))
    items = list(read_events(path, load_mapping(CASES / "long-lines.mapping.yaml")))
    assert [item.line for item in items if isinstance(item, Mapped)] == [2, 4003, 4004, 4005]
    assert [len(text) for text in texts_of(items)] == [38 * 4000 - 1, 5, 5, 5]
    with pytest.raises(EarshotError):
        case("capitals.csv")
