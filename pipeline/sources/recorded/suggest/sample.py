"""The first rows of a file, and how it has to be read: the keys of a mapping that are about the file and not about fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import orjson

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.archives import FileDamaged, opened
from pipeline.sources.recorded.broken_json import closed
from pipeline.sources.recorded.cells import STRONG, kind_of
from pipeline.sources.recorded.reader import format_of, recognise, rows_of
from pipeline.sources.recorded.reading import Format, Reading
from pipeline.sources.recorded.rows import Row
from pipeline.sources.recorded.suggest.columns import columns_of
from pipeline.sources.recorded.suggest.names import is_of_author, is_of_other, likeness
from pipeline.sources.recorded.table import Table

SAMPLED = 1_000
MOST_BYTES = 64 << 20
"""Of a JSON document, unpacked, that are looked at to find its rows: in memory they are six times as many."""


@dataclass
class Sample:
    """Rows of a file, and the keys by which they were read."""

    rows: list[dict[str, object]]
    keys: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What was recognised, for a person."""


def sample_of(path: Path, member: str | None = None) -> Sample:
    """The first 1,000 rows of a file, or of a `member` of a zip archive.

    Raises EarshotError and SettingsError if it can't be read.
    """
    keys: dict[str, object] = {"member": member} if member is not None else {}
    try:
        try:
            form = format_of(path, Reading.model_validate(keys))
        except SettingsError:
            form = keys["format"] = _sniffed(path, member)
        return _read(path, form, keys)
    except FileDamaged as error:
        raise EarshotError(f"{path}: {error}") from None
    except OSError as error:
        raise EarshotError(f"{path}: {error.strerror}") from None


def _read(path: Path, form: Format, keys: dict[str, object]) -> Sample:
    notes, said = list[str](), list[str]()
    found = recognise(path, Reading.model_validate(keys))
    notes.append(f"encoding {found.encoding.value} ({found.encoding.why})" if found.encoding.why else "")
    if found.encoding.value != "utf-8":
        keys["encoding"] = found.encoding.value
        found = recognise(path, Reading.model_validate(keys))
    if found.format.value != form:
        form = found.format.value
        keys["format"] = form
    if found.table is not None:
        _add_layout(found.table, form, keys, notes)
    elif form == "json" and (where := _rows_path(path, keys)) is not None:
        keys["rows"] = where
    rows = _rows(path, form, keys, (), said)
    if "columns" in keys and (names := _names(rows, found.table)):
        del keys["columns"]
        notes[-1] = "the header holds sentences"
        rows = _rows(path, form, keys, names, said)
    if any("repair: latin1" in line for line in said):
        keys["repair"] = "latin1"
        rows = _rows(path, form, keys, (), said)
    return Sample(rows, keys, list(dict.fromkeys(note for note in (*notes, *said) if note)))


def _rows(
    path: Path, form: Format, keys: dict[str, object], needed: tuple[str, ...], said: list[str]
) -> list[dict[str, object]]:
    rows = rows_of(path, form, Reading.model_validate(keys), needed, said.append)
    return list(islice((row.values for row in rows if isinstance(row, Row)), SAMPLED))


def _names(rows: list[dict[str, object]], table: Table | None) -> tuple[str, ...]:
    """The cells of the first row if they are a header after all: texts above columns of numbers or times."""
    cells = [str(value).strip() for value in rows[0].values()] if rows and table is not None else []
    kinds = [kind_of(cell) for cell in cells]
    plain = len(set(cells)) == len(cells) and not {"blank", *STRONG} & set(kinds)
    return tuple(cells) if plain and table is not None and set(STRONG) & set(table.profile.kinds) else ()


def _add_layout(table: Table, form: Format, keys: dict[str, object], notes: list[str]) -> None:
    if table.delimiter.value != ("\t" if form == "tsv" else ","):
        keys["delimiter"] = table.delimiter.value
    if table.escapes.value:
        keys["quotes"] = "backslash"
    elif not table.quotes.sure:
        keys["quotes"] = table.quotes.value
    if table.skip.value:
        keys["skip"] = table.skip.value
        notes.append(f"lines before the header: {table.skip.value}")
    if not table.columns:
        keys["columns"] = [f"column_{number}" for number in range(1, len(table.profile.kinds) + 1)]
        notes.append("no header: name the columns")


def _sniffed(path: Path, member: str | None) -> Format:
    """The format of a file with an unknown suffix; of an archive, of the file inside. Raises as `opened`."""
    with opened(path, member) as source:
        head = source.head[: 1 << 16].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise SettingsError(f"{path}: it holds bytes that no text has: export it as CSV, TSV, JSON or JSONL")
    if head[:1] == b"<":
        raise SettingsError(f"{path}: it is XML or HTML: export it as CSV, TSV, JSON or JSONL")
    if head[:1] == b"[":
        return "json"
    if head[:1] == b"{":
        return "jsonl" if head.split(b"\n", 1)[0].rstrip().endswith(b"}") else "json"
    first = head.split(b"\n", 1)[0]
    return "tsv" if first.count(b"\t") > first.count(b",") else "csv"


def _rows_path(path: Path, keys: dict[str, object]) -> str | None:
    """Where the rows of a JSON document are: its longest list of objects, `*` if they are keyed by their ids, or the list in
    each of its pages."""
    try:
        document = orjson.loads(_beginning(path, keys))
    except orjson.JSONDecodeError:
        return None
    if isinstance(document, list):
        return _in_pages([page for page in document if isinstance(page, dict)])
    if not isinstance(document, dict):
        return None
    own = max((likeness(each, "text") for each in document if isinstance(document[each], str)), default=0.0)
    ranked = sorted(_object_lists(document, "").items(), key=lambda each: _rank(*each))
    if ranked and (own < 0.9 or len(ranked[-1][1]) > 3):
        return ranked[-1][0]
    values = [value for value in document.values() if isinstance(value, dict)]
    if len(values) == len(document) >= 2 and len(set(values[0]) & set(values[1])) >= len(values[0]) / 2:
        return "*"
    return None


def _beginning(path: Path, keys: dict[str, object]) -> bytes:
    """The document, or so much of its beginning as is looked at, with its brackets closed."""
    raw = bytearray()
    with opened(path, Reading.model_validate(keys).member) as source:
        for block in source.blocks():
            raw += block
            if len(raw) > MOST_BYTES:
                return closed(bytes(raw[:MOST_BYTES]))
    return bytes(raw)


def _in_pages(pages: list[dict[str, object]]) -> str | None:
    """The path of the rows if the elements of a list are pages of an API: each with a list, none with an id or a text."""
    names = {name for page in pages for name in page}
    if any(likeness(name, field) >= 0.9 for name in names for field in ("id", "text")):
        return None
    lists: dict[str, list[dict[str, object]]] = {}
    for page in pages:
        for where, elements in _object_lists(page, "").items():
            lists.setdefault(where, []).extend(elements)
    ranked = sorted(lists.items(), key=lambda each: _rank(*each))
    found = ranked[-1] if ranked else ("", [])
    return f"*.{found[0]}" if len(found[1]) > 3 * len(pages) and _names_id(found[1]) else None


def _names_id(elements: list[dict[str, object]]) -> bool:
    return any(likeness(each, "id") >= 0.9 for each in elements[0])


def _rank(where: str, elements: list[dict[str, object]]) -> tuple[bool, float, int]:
    """Lists of posts before others, long ones before short ones."""
    named = [likeness(each, "text") for each in columns_of(elements[:20]) if not is_of_author(each) and not is_of_other(each)]
    return not is_of_other(where), max(named, default=0.0), len(elements)


def _object_lists(node: dict[str, object], prefix: str, depth: int = 0) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for name, value in node.items():
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            found[prefix + name] = value
        elif isinstance(value, dict) and depth < 3:
            found |= _object_lists(value, f"{prefix}{name}.", depth + 1)
    return found
