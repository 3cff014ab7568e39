"""Recognises the layout of a delimited file by its first bytes: line end, delimiter, lines before the header, columns.

The reader takes the guesses that a mapping leaves open. A mapping helps: the header is the line that has all
the columns which it names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from pipeline.sources.recorded.cells import Profile, Splitter, kind_of, profile_of
from pipeline.sources.recorded.delimited import Record, Records
from pipeline.sources.recorded.encoding import Guess

DELIMITERS = (",", "\t", ";", "|")
_HEADER_IN, _NAMES_IN, _SAMPLE = 100, 20, 1_000
_SEPARATOR = re.compile(r"\ufeff?sep=(.)\r?", re.IGNORECASE)
"""The first line of a CSV that Excel opens with another delimiter than its country's."""
_ESCAPED = re.compile(rb'\\"(?!"|[,;\t|](?! )|[\r\n]|\Z)')
_QUOTED = re.compile(rb'"[^"]*+"')


@dataclass(frozen=True)
class Known:
    """What the mapping, or the file's suffix, says about the layout. None and blank: recognise it."""

    suffix: str = "csv"
    delimiter: str | None = None
    quotes: bool | None = None
    skip: int | None = None
    columns: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    """Names that the mapping reads: columns, or paths into a column that holds JSON."""
    escapes: bool | None = None

    @property
    def has_quotes(self) -> bool:
        """TSV has none unless the mapping says so."""
        return self.suffix != "tsv" if self.quotes is None else self.quotes

    @property
    def usual(self) -> str:
        """The delimiter of such files."""
        return self.delimiter or ("\t" if self.suffix == "tsv" else ",")

    @property
    def possible(self) -> tuple[str, ...]:
        """The delimiters to try, the likeliest first."""
        return (self.delimiter,) if self.delimiter else tuple(dict.fromkeys((self.usual, *DELIMITERS)))


class Table(NamedTuple):
    """The layout of a delimited file."""

    line_end: bytes
    quotes: Guess[bool]
    escapes: Guess[bool]
    """Whether a quote inside a cell may have a backslash before it, rather than being doubled."""
    delimiter: Guess[str]
    skip: Guess[int]
    """The lines before the header; without a header, before the first row."""
    header: Guess[bool]
    """Whether there is a header. Without one the mapping has to name the columns."""
    columns: tuple[str, ...]
    """As the header names them; without a header blank, unless the mapping names them."""
    profile: Profile

    def missing(self, needed: Sequence[str]) -> list[str]:
        """The needed names that no column has."""
        return [name for name in needed if column_of(name, self.columns) is None]


def recognise(head: bytes, known: Known, whole: bool) -> Table:
    """The layout of a file that begins with `head` (UTF-8). It never raises: `Table.missing` says what does not fit."""
    end = line_end(head)
    raw = head.split(end)
    if not whole and len(raw) > 1:
        raw.pop()  # cut in the middle
    texts = [line.decode("utf-8", "replace") for line in raw[: _HEADER_IN + (known.skip or 0)]]
    excel = _SEPARATOR.fullmatch(texts[0]) if texts and known.skip is None else None
    if excel is not None:
        known = replace(known, delimiter=known.delimiter or excel[1], skip=1)
    quotes = _quotes(texts, known)
    known = replace(known, quotes=quotes.value)
    delimiter, skip, header = _layout(texts, known)
    skip = Guess(1, False, "the line above names the delimiter") if excel is not None else skip
    if not header.value and (found := _names_above_long_rows(raw, texts[:_NAMES_IN], known)) is not None:
        delimiter, skip, header = found
    escapes = _escapes(head, known)
    splitter = Splitter(delimiter.value, known.has_quotes, escapes.value)
    records = Records(raw[skip.value :], splitter, Guess("utf-8", True, ""))
    columns = known.columns
    if not known.columns and header.value:
        columns = names_in(next(iter(records), None))
    rows: list[list[str]] = []
    records.width = len(columns) or None
    for record in records:
        if isinstance(record, Record) and record.lines == 1:
            rows.append(record.cells)
        if len(rows) >= _SAMPLE or (records.ran_out and not whole):  # from there on, lines are parts of a cell
            break
    return Table(end, quotes, escapes, delimiter, skip, header, columns, profile_of(rows, max(map(len, rows), default=0)))


def _names_above_long_rows(
    raw: list[bytes], texts: list[str], known: Known
) -> tuple[Guess[str], Guess[int], Guess[bool]] | None:
    """The layout if one of the first lines is a header, the lines before it have other numbers of cells, and the records below
    it have as many though most run over lines."""
    if known.skip is not None or known.columns or known.needed or not known.has_quotes:
        return None
    for delimiter in known.possible:
        splitter = Splitter(delimiter, True)
        cells = [splitter.split(text).cells for text in texts]
        for place, names in enumerate(cells):
            if len(names) < 2 or not is_header(names) or any(len(each) == len(names) for each in cells[:place]):
                continue
            below = islice(Records(raw[place + 1 :], splitter, Guess("utf-8", True, "")), 50)
            widths = [len(each.cells) for each in below if isinstance(each, Record)]
            if len(widths) > 2 and widths.count(len(names)) >= 0.9 * len(widths):
                why = _delimiter(delimiter, known, "the records below have as many cells")
                return why, Guess(place, place == 0, "names above records"), Guess(True, True, "its cells are names")
    return None


def _quotes(texts: list[str], known: Known) -> Guess[bool]:
    """Whether cells may be quoted: in a TSV if each cell of its first line is."""
    if known.quotes is not None or known.has_quotes:
        return Guess(known.has_quotes, True, "the suffix" if known.quotes is None else "the mapping")
    cells = next((text.rstrip("\r").split("\t") for text in texts if text.strip()), [])
    if len(cells) > 1 and all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells):
        return Guess(True, False, "each cell of the first line is quoted")
    return Guess(False, True, "the suffix")


def _escapes(head: bytes, known: Known) -> Guess[bool]:
    """Whether quotes have backslashes before them. A backslash before the end of a cell may be the cell's last character."""
    if known.escapes is not None or not known.has_quotes:
        return Guess(bool(known.escapes), True, "the mapping")
    inside = len(_ESCAPED.findall(head))
    found = 2 * inside > head.count(b'\\"')
    return Guess(found, not found, "quotes inside cells have a backslash")


def names_in(header: object) -> tuple[str, ...]:
    """The columns that a header record names; none if there is no such record."""
    return tuple(cell.strip() for cell in header.cells) if isinstance(header, Record) else ()


def line_end(head: bytes) -> bytes:
    """A line feed (a carriage return before it is part of the end), or a carriage return if the lines end with those only."""
    bare = head.count(b"\r") - head.count(b"\r\n")
    if not bare:
        return b"\n"
    outside = _QUOTED.sub(b"", head)
    bare = outside.count(b"\r") - outside.count(b"\r\n")
    return b"\r" if bare > outside.count(b"\n") else b"\n"


def column_of(name: str, columns: Sequence[str]) -> str | None:
    """The column that a name or path reads: of this name, or of the longest beginning of the path."""
    while name not in columns:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


# --- delimiter and header -------------------------------------------------------------------------------------------
def _layout(texts: list[str], known: Known) -> tuple[Guess[str], Guess[int], Guess[bool]]:
    given = known.skip is not None
    first = known.skip or 0
    cells = {each: [Splitter(each, known.has_quotes).split(text).cells for text in texts] for each in known.possible}
    if known.columns:
        widths = {each: len(rows[first]) if first < len(rows) else 0 for each, rows in cells.items()}
        fits = [each for each in known.possible if widths[each] == len(known.columns)]
        delimiter = known.usual if widths[known.usual] > 1 or not fits else fits[0]
        skip = Guess(first, True, "the mapping")
        return _delimiter(delimiter, known, "the number of columns"), skip, Guess(False, True, "the mapping")
    places = [first] if given else range(min(len(texts), _HEADER_IN))
    if known.needed:
        for place in places:
            for each in known.possible:
                names = [cell.strip() for cell in cells[each][place]] if place < len(texts) else []
                if all(column_of(name, names) for name in known.needed):
                    found = Guess(place, given or place == 0, f"line {place + 1} has the columns of the mapping")
                    return _delimiter(each, known, "the columns of the mapping"), found, Guess(True, True, "the mapping")
    delimiter, place = _by_shape(cells, known, first)
    row = cells[delimiter][place] if place < len(texts) else []
    if given:
        place = first
    return (
        _delimiter(delimiter, known, "most lines have as many cells"),
        Guess(place, given or place == 0, "the first line with as many cells as most"),
        Guess(True, True, "its cells are names") if is_header(row) else Guess(False, False, "its cells are no names"),
    )


def _delimiter(found: str, known: Known, why: str) -> Guess[str]:
    if found != known.usual:
        return Guess(found, False, why)
    return Guess(found, True, "the mapping" if known.delimiter else "the suffix")


def _by_shape(cells: dict[str, list[list[str]]], known: Known, first: int) -> tuple[str, int]:
    """The delimiter at which most lines have equally many cells, and the first line with so many."""
    best, delimiter, place = (0.0, 0), known.usual, first
    for each, rows in cells.items():
        counts = [len(row) for row in rows[first:] if any(row)]
        width, often = Counter(counts).most_common(1)[0] if counts else (1, 0)
        score = (round(often / max(len(counts), 1), 1), width)
        if width > 1 and score > best:
            best, delimiter = score, each
            place = next((index for index, row in enumerate(rows) if index >= first and len(row) == width), first)
    return delimiter, place


def is_header(cells: Sequence[str]) -> bool:
    """Whether cells look like names of columns: short, different, none a number, a time, an address or a sentence; the first
    ones may be blank."""
    names = [cell.strip() for cell in cells]
    filled = [name for name in names if name]
    return (
        bool(filled)
        and len(set(filled)) == len(filled)
        and len(filled) >= len(names) - names.index(filled[0]) - 1
        and all(len(name) <= 64 and len(name.split()) <= 6 and "://" not in name and "@" not in name for name in filled)
        and all(kind_of(name) in ("word", "text") for name in filled)
    )
