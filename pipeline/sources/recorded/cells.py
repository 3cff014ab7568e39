"""Splits the lines of a delimited file into cells.

`Splitter` works on one line and says which cell stays open at its end; delimited.py joins the lines. `Profile` says how rows
look, so that a row inside a cell that was never closed can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NUMBER = re.compile(r"[-+]?(?:\d[\d.,' ]*|[.,]\d+)(?:[eE][-+]?\d+)?%?")
TIME = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d).{0,30}|\d{1,2}:\d\d(?!\d).{0,30}"
    r"|(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ ,.].{0,20}\d.{0,20}",
    re.IGNORECASE,
)
WORD = re.compile(r"\S+")
STRONG = ("number", "time")
_ENOUGH = 20
"""A column of texts may hold single words in a few rows."""


def kind_of(cell: str) -> str:
    """The form of a cell: blank, number, time, word (no space in it) or text."""
    cell = cell.strip()
    if not cell:
        return "blank"
    if len(cell) <= 80:
        if NUMBER.fullmatch(cell):
            return "number"
        if TIME.fullmatch(cell):
            return "time"
    return "word" if WORD.fullmatch(cell) else "text"


class Profile(NamedTuple):
    """The kind that nearly all cells of a column have; None where they differ."""

    kinds: tuple[str | None, ...]

    def knows(self) -> bool:
        """Whether a column has cells of one kind, so that a row can be told from a text."""
        return any(self.kinds)

    def like(self, cells: Sequence[str]) -> bool:
        """Whether cells look like a row: each is blank or of its column's kind, and not all are blank."""
        filled = [
            (kind, own) for kind, cell in zip(self.kinds, cells, strict=False) if kind and (own := kind_of(cell)) != "blank"
        ]
        return bool(filled) and all(own == kind or (kind == "word" and own != "text") for kind, own in filled)


def profile_of(rows: Iterable[Sequence[str]], width: int) -> Profile:
    """The profile of some rows, each of `width` cells."""
    counts: list[dict[str, int]] = [{} for _ in range(width)]
    for row in rows:
        for count, cell in zip(counts, row, strict=False):
            kind = kind_of(cell)
            count[kind] = count.get(kind, 0) + 1
    return Profile(tuple(map(_most, counts)))


def _most(count: dict[str, int]) -> str | None:
    filled = sum(count.values()) - count.get("blank", 0)
    kind = max((kind for kind in count if kind not in ("blank", "text")), key=lambda kind: count[kind], default=None)
    if kind is None or count[kind] < 0.95 * filled or (kind not in STRONG and filled < _ENOUGH):
        return None
    return kind


class Split(NamedTuple):
    """The cells of a line. `open_at`: where one more cell begins whose quote this line does not close."""

    cells: list[str]
    open_at: int | None = None
    stray: int | None = None
    """The number of a cell with a quote that is not paired: the quotes are kept as text."""


class Splitter:
    """Splits lines at a delimiter of one character, with or without quotes.

    A quote inside quotes is doubled; with `escapes` it may also have a backslash before it.
    """

    def __init__(self, delimiter: str, quotes: bool, escapes: bool = False) -> None:
        self.delimiter, self.quotes = delimiter, quotes
        end = re.escape(delimiter)
        inside = r'(?:[^"\\]++|""|\\(?:.|\Z))*+' if escapes else r'(?:[^"]++|"")*+'
        self._quoted = re.compile(rf' *+"({inside})"(?=\r?(?:{end}|\Z))', re.DOTALL)
        self._opens = re.compile(rf' *+"{inside}\Z', re.DOTALL)
        self._literal = re.compile(rf"[^{end}]*+")
        self._closes = re.compile(rf'({inside})"', re.DOTALL)
        self._escape = re.compile(r'\\(["\\])|""') if escapes else None

    def unescaped(self, inside: str) -> str:
        """The text of a quoted cell."""
        if self._escape is None:
            return inside.replace('""', '"')
        return self._escape.sub(lambda match: match[1] or '"', inside)

    def split(self, text: str, start: int = 0) -> Split:
        """The cells from `start` to the end of the line."""
        stop = len(text) - text.endswith("\r")
        if not self.quotes or '"' not in text:
            return Split(text[start:stop].split(self.delimiter))
        cells: list[str] = []
        at, stray = start, None
        while True:
            if (quoted := self._quoted.match(text, at)) is not None:
                cells.append(self.unescaped(quoted[1]))
                at = quoted.end()
            elif self._opens.match(text, at) is not None:
                return Split(cells, at, stray)
            else:
                literal = self._literal.match(text, at, stop)
                assert literal is not None  # it matches nothing, too
                cells.append(literal[0])
                at = literal.end()
                if literal[0].lstrip(" ").startswith('"') and literal[0].count('"') % 2:
                    stray = stray or len(cells)
            if at >= stop:
                return Split(cells, None, stray)
            at += 1

    def opening(self, text: str, at: int) -> str:
        """The part of an open cell that its first line holds."""
        return text[at:].lstrip(" ")[1:]

    def closing(self, text: str) -> tuple[str, int | None] | None:
        """In a line inside an open cell: the part up to the closing quote, and where the next cell begins.

        None if the cell stays open. The place is -1 at the end of the line, and None if text follows the quote.
        """
        match = self._closes.match(text)
        if match is None:
            return None
        rest = text[match.end() : match.end() + 2]
        if rest in ("", "\r"):
            return match[1], -1
        return match[1], match.end() + 1 if rest[0] == self.delimiter else None
