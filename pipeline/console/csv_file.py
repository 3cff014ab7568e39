"""Rows as CSV that a spreadsheet opens: no cell runs as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pipeline.console.strange import text_of

_FORMULA = re.compile(r"[\t\r\n]|[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]")
"""How a cell begins that a spreadsheet would compute; some drop blanks and unseen characters before it."""
_APART, _SIGNS = frozenset(";\t\r\n"), "=+-@＝＋－＠"
_RUN = re.compile(r"[;\s\x00-\x1f]+")
_ROWS = 1_000
"""In one block."""


def csv_cell(value: object) -> str:
    """The cell of a value. What begins as a formula does gets a ' before it, also within a text; numbers stay numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return moment.isoformat(timespec="milliseconds") + "Z"
    text = ", ".join(map(text_of, value)) if isinstance(value, (list, tuple)) else text_of(value)
    begins = _FORMULA.match(text)
    head = begins.end() if begins else 0
    return ("'" if begins else "") + text[:head] + _RUN.sub(_parted, text[head:])


def _parted(run: re.Match[str]) -> str:
    """The run, with a ' behind it where a spreadsheet that splits lines at other characters would see a formula begin."""
    before, after = run[0], run.string[run.end() : run.end() + 1]
    return before + "'" * bool(after and after in _SIGNS and not _APART.isdisjoint(before))


def csv_of(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """The lines in UTF-8, in blocks: the names of the columns, then the rows. Lines end as RFC 4180 says."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(csv_cell, columns))
    for number, row in enumerate(rows, 1):
        writer.writerow([csv_cell(row[name]) for name in columns])
        if number % _ROWS == 0:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    block = text.getvalue().encode(errors="backslashreplace")
    text.seek(0)
    text.truncate()
    return block
