"""The recorded payloads of a platform, as its mapper takes them: JSON values, rows of a table, mails, feeds.

A list of JSON is a list of payloads, so that a bad one costs itself and a file of any size needs the memory of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import EarshotError
from pipeline.sources.recorded import encoding as encodings
from pipeline.sources.recorded.archives import Source, inner_name, opened
from pipeline.sources.recorded.documents import Document
from pipeline.sources.recorded.encoding import as_utf8
from pipeline.sources.recorded.files import with_file_errors
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.json_rows import line_end, line_value
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.lines import MAX_LINE, TOO_LONG, Ahead, split_lines
from pipeline.sources.recorded.reader import Say, form_in, table_rows
from pipeline.sources.recorded.reading import SUFFIXES, Reading

LEGACY = {"weibo": "gb18030"}
"""The encoding of a platform's files that are not in UTF-8."""
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_ESCAPED = re.compile(rb">+From ")


class Payload(NamedTuple):
    """A payload and the line where it starts."""

    line: int
    value: object
    """JSON, or a row by its columns; of mail and feeds the bytes."""
    number: int = 0
    """Among the payloads of a document, from 1 on; several may be in one line. 0: the line alone says which it is."""


def payloads(path: Path, platform: str, say: Say) -> Iterator[Payload | Unmapped]:
    """The payloads of a file in order; parts that can't be read as `Unmapped`. `say` gets a line for each thing that was
    recognised and not certain.

    Raises EarshotError if the file can't be read at all.
    """
    return with_file_errors(path, _payloads(path, platform, say))


def _payloads(path: Path, platform: str, say: Say) -> Iterator[Payload | Unmapped]:
    with opened(path) as source:
        if platform == "email":
            yield from _mails(source)
        elif platform == "rss":
            yield _whole(source, "feed")
        else:
            yield from _values(path, source, platform, say)


# --- JSON and tables ------------------------------------------------------------------------------------------------
def _values(path: Path, source: Source, platform: str, say: Say) -> Iterator[Payload | Unmapped]:
    reading = Reading()
    if (name := LEGACY.get(platform)) and encodings.recognise(source.head, source.whole).why == encodings.BY_BYTES:
        say(f"it is not UTF-8: it is read as {name.upper()}, the encoding of {platform}'s older files")
        reading = Reading(encoding=name)
    found = form_in(source, SUFFIXES.get(Path(inner_name(path)).suffix.lower(), "json"), reading, ())
    blocks = as_utf8(source.blocks(), found.encoding.value if found.encoding.sure else "utf-8")
    if found.table is not None:
        for row in table_rows(path, blocks, found, reading, (), say):
            yield row if isinstance(row, Unmapped) else Payload(row.line, row.values)
    elif found.format.value == "jsonl":
        yield from _of_lines(split_lines(blocks, line_end(source)))
    else:
        yield from _of_document(path, blocks)


def _of_lines(lines: Iterable[bytes | None]) -> Iterator[Payload | Unmapped]:
    """The values of the lines; blank ones are a stream's signs of life."""
    for line, raw in enumerate(lines, 1):
        if raw is None:
            yield Unmapped(line, TOO_LONG)
        elif raw.strip():
            try:
                value = line_value(raw)
            except NotJson as error:
                yield Unmapped(line, f"not JSON: {error.reason}: column {error.column}")
                continue
            values = value if isinstance(value, list) else [value]
            yield from (Payload(line, each) for each in values)


def _of_document(path: Path, blocks: Iterable[bytes]) -> Iterator[Payload | Unmapped]:
    """The elements of lists, and other values, of one document or of several in a row."""
    document = Document(blocks, None, (), keyed=False)
    for number, element in enumerate(document.elements(), 1):
        if element.problem is None:
            yield Payload(element.line, element.value, number)
        else:
            yield Unmapped(element.line, f"payload {number}: {element.problem}")
    if not document.found:
        raise EarshotError(f"{path}: not JSON: the file is empty")


# --- mails and feeds ------------------------------------------------------------------------------------------------
def _whole(source: Source, name: str) -> Payload | Unmapped:
    parts, size = list[bytes](), 0
    for block in source.blocks():
        size += len(block)
        if size > MAX_LINE:
            return Unmapped(1, _too_long(name))
        parts.append(block)
    return Payload(1, b"".join(parts))


def _mails(source: Source) -> Iterator[Payload | Unmapped]:
    """The mails of an mbox, which begins with a line `From `: it is above each mail, with a blank line above and a header line
    below it. Any other file is one mail."""
    if not source.head.startswith(b"From "):
        yield _whole(source, "mail")
        return
    lines = Ahead(split_lines(source.blocks()))
    start, parts, size, blank = 0, list[bytes](), 0, True
    while lines:
        line, number = lines[0], lines.number
        lines.take()
        if blank and line is not None and line.startswith(b"From ") and (number == 1 or _begins_with_header(lines)):
            if start:
                yield _mail(start, parts, size)
            start, parts, size, blank = number, [], 0, False
            continue
        blank = line is not None and not line.strip()
        size += MAX_LINE + 1 if line is None else len(line) + 1
        if line is not None and size <= MAX_LINE:
            parts.append(line[1:] if _ESCAPED.match(line) else line)
        else:
            parts = []
    yield _mail(start, parts, size)


def _begins_with_header(lines: Ahead) -> bool:
    return lines.reaches(0) and _HEADER.match(lines[0] or b"") is not None


def _mail(line: int, lines: list[bytes], size: int) -> Payload | Unmapped:
    return Unmapped(line, _too_long("mail")) if size > MAX_LINE else Payload(line, b"\n".join(lines) + b"\n")


def _too_long(name: str) -> str:
    return f"the {name} is longer than {MAX_LINE >> 20} MB"
