"""The rows of JSON Lines and of JSON documents, and which of the two a file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.archives import Source
from pipeline.sources.recorded.documents import Document
from pipeline.sources.recorded.encoding import Guess, eight_bit
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.json_text import NotJson, parsed
from pipeline.sources.recorded.lines import TOO_LONG
from pipeline.sources.recorded.reading import Format, Reading
from pipeline.sources.recorded.rows import Row


def json_form(head: bytes, form: Format, reading: Reading, whole: bool) -> Guess[Format]:
    """JSON Lines in a .json file, a document in a .jsonl file: by the first lines."""
    if reading.format is not None or reading.rows is not None:
        return Guess(form, True, "the mapping")
    lines = head.split(b"\n") if b"\n" in head else head.split(b"\r")
    lines = [line for line in (lines if whole else lines[:-1])[:50] if line.strip()]
    first = head.lstrip()[:1]
    objects = sum(isinstance(_loaded(line), dict) for line in lines)
    if form == "json" and first != b"[" and len(lines) > 1 and 2 * objects >= len(lines):
        return Guess("jsonl", False, "its lines are objects")
    if form == "jsonl" and first == b"[" and (len(lines) == 1 or not isinstance(_loaded(lines[0] if lines else head), list)):
        return Guess("json", False, "it is one list")
    return Guess(form, True, "the suffix")


def _loaded(raw: bytes) -> object:
    try:
        return parsed(raw)
    except NotJson:
        return None


def line_end(source: Source) -> bytes:
    """A line feed; a carriage return if the first megabyte has no other line end. Inside a value neither stands as it is."""
    return b"\r" if b"\n" not in source.head and b"\r" in source.head else b"\n"


def line_rows(lines: Iterator[bytes | None], encoding: Guess[str]) -> Iterator[Row | Unmapped]:
    """A row of each line; None stands for a line that is too long."""
    for line, raw in enumerate(lines, 1):
        if raw is None:
            yield Unmapped(line, TOO_LONG)
        elif not raw.strip():
            yield Unmapped(line, "empty line")
        else:
            try:
                row = line_value(raw)
            except NotJson as error:
                yield Unmapped(line, f"not JSON: {error.reason}: column {error.column}{_hint(raw, encoding)}")
            else:
                yield Row(line, row) if isinstance(row, dict) else Unmapped(line, "not a JSON object")


def line_value(raw: bytes) -> object:
    """The value of a line; a comma after it is passed over. Raises NotJson."""
    raw = raw.removeprefix(b"\xef\xbb\xbf").rstrip()
    try:
        return parsed(raw)
    except NotJson:
        if not raw.endswith(b","):
            raise
        return parsed(raw[:-1])


def document_rows(
    path: Path, blocks: Iterator[bytes], reading: Reading, needed: tuple[str, ...], encoding: Guess[str]
) -> Iterator[Row | Unmapped]:
    """A row of each element. Raises SettingsError if there is nothing at the path `rows`, EarshotError for an empty file."""
    document = Document(blocks, reading.rows, needed)
    names = {name.partition(".")[0] for name in needed}
    number = 0
    for number, element in enumerate(document.elements(), 1):
        if element.problem is not None:
            yield Unmapped(number, element.problem + _hint(element.raw, encoding))
        elif not isinstance(element.value, dict):
            yield Unmapped(number, "the row is not an object")
        elif document.is_object and names and not names & element.value.keys():
            yield Unmapped(number, "the document is one object without the mapping's names: `rows` says where its rows are")
        else:
            yield Row(number, element.value if element.key is None else {**element.value, "$key": element.key})
    if reading.rows is not None and not document.found:
        raise SettingsError(f"{path}: no rows at {reading.rows!r}")
    if not number and reading.rows is None and not document.found:
        raise EarshotError(f"{path}: not JSON: the file is empty")


def _hint(raw: bytes, encoding: Guess[str]) -> str:
    """The encoding to try, for bytes that are not UTF-8 in a file that nothing says to be UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        if not encoding.sure:
            name = encoding.value if encoding.value != "utf-8" else eight_bit(raw)
            return f" (encoding: {name} in the mapping may read it)"
    return ""
