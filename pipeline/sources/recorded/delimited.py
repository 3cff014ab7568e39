"""The rows of a delimited file (CSV, TSV), each with the line where it starts.

No line vanishes: each is part of a row, or of an `Unmapped` that names its lines. No row is invented: a quoted cell is one cell
however long it is, and a cell that was never closed costs its own row and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.config.settings import MAX_MESSAGE_BYTES
from pipeline.sources.recorded.cells import STRONG, Profile, Split, Splitter, kind_of
from pipeline.sources.recorded.encoding import Guess, eight_bit
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.lines import TOO_LONG, Ahead

NAME = re.compile(r"[^\W\d][\w .:/#$%&+*@()?-]{0,39}")
_SEARCHED = 1_000
"""After a quote that was never closed, the next row is searched in so many lines."""


class Record(NamedTuple):
    """The cells of a row, the line where it starts, and how many lines it has."""

    line: int
    cells: list[str]
    lines: int


class _Joined(NamedTuple):
    """A row over several lines: its cells, the lines after its first one, and why it can't be a row."""

    cells: list[str]
    more: int
    problem: str | None


class Records:
    """The records of a file's lines, in order.

    `width`: the number of columns; None: any. `profile`: how rows look; None: a quote closed anywhere counts as closed.
    `encoding`: the guess by which the bytes became UTF-8.
    """

    def __init__(self, lines: Iterable[bytes | None], splitter: Splitter, encoding: Guess[str]) -> None:
        self.lines = Ahead(lines)
        self.width: int | None = None
        self.profile: Profile | None = None
        self.ran_out = False
        """The lines ended inside a cell."""
        self._splitter, self._encoding = splitter, encoding

    def __iter__(self) -> Iterator[Record | Unmapped]:
        while self.lines:
            raw, number = self.lines[0], self.lines.number
            self.lines.take()
            if raw is None:
                yield Unmapped(number, TOO_LONG)
                continue
            text = _text(raw)
            split = self._splitter.split(text)
            if split.open_at is None and (split.stray is None or self.width is None):
                yield self._checked(number, text, split)
            elif split.open_at is None:
                yield self._broken(number, split.stray, "a quote in it is neither doubled nor closed", split)
            else:
                yield self._over_lines(number, text, split)

    # --- one line ---------------------------------------------------------------------------------------------------
    def _checked(self, line: int, text: str, split: Split, lines: int = 1) -> Record | Unmapped:
        cells = split.cells
        if self.width is not None and len(cells) != self.width:
            if text in ("", "\r"):
                return Unmapped(line, "empty line")
            if any(cell.strip() for cell in cells[self.width :]) or len(cells) < self.width:
                return Unmapped(line, self._miscounted(split))
            cells = cells[: self.width]  # blank cells after the last column
        if not text.isascii() and (place := _invalid(cells)) is not None:
            return Unmapped(line, self._not_text(place, text))
        if len(text) > MAX_MESSAGE_BYTES // 4:
            for number, cell in enumerate(cells, 1):
                if len(cell.encode()) > MAX_MESSAGE_BYTES:
                    return Unmapped(line, f"column {number}: a cell of over {MAX_MESSAGE_BYTES >> 20} MB")
        return Record(line, cells, lines)

    def _miscounted(self, split: Split) -> str:
        text = f"{len(split.cells)} columns, the header has {self.width}"
        if not self._splitter.quotes and any(cell.startswith('"') for cell in split.cells):
            return f"{text} (quotes: true in the mapping reads quoted cells)"
        return text

    def _not_text(self, column: int, text: str) -> str:
        name, sure, why = self._encoding
        if not sure and name == "utf-8":  # no byte beyond ASCII was in sight before
            name = eight_bit(text.encode("utf-8", "surrogateescape"))
            self._encoding = Guess(name, sure, why)
        return f"not {name.upper()}" if sure else f"column {column}: not UTF-8 (encoding: {name} in the mapping may read it)"

    # --- a cell over several lines ----------------------------------------------------------------------------------
    def _over_lines(self, line: int, text: str, split: Split) -> Record | Unmapped:
        joined = self._join(text, split)
        if joined.problem is None:
            self.lines.take(joined.more)
            return self._checked(line, "\n".join(joined.cells), Split(joined.cells, None, split.stray), 1 + joined.more)
        return self._broken(line, len(split.cells) + 1, joined.problem, split)

    def _broken(self, line: int, column: int | None, problem: str, split: Split) -> Unmapped:
        """Leaves the row out, and the lines after it that look like the rest of it."""
        left_out = self._to_next_row(split)
        self.lines.take(left_out)
        lines = f"; lines {line} to {line + left_out} are left out" if left_out else ""
        hint = " (quotes: false in the mapping takes quotes as text)" if self._splitter.delimiter == "\t" else ""
        return Unmapped(line, f"column {column}: {problem}{lines}{hint}")

    def _join(self, text: str, split: Split) -> _Joined:
        """Reads on until the record ends. Nothing is taken yet."""
        cells, more = list(split.cells), 0
        assert split.open_at is not None
        parts = [self._splitter.opening(text, split.open_at)]
        size = len(parts[0])
        while True:
            if not self.lines.reaches(more) or (raw := self.lines[more]) is None:
                self.ran_out = True
                return _Joined(cells, more, "its quote is not closed")
            size += len(raw) + 1
            if size > MAX_MESSAGE_BYTES:
                return _Joined(cells, more, f"its quote is not closed within {MAX_MESSAGE_BYTES >> 20} MB")
            more += 1
            text = _text(raw)
            closing = self._splitter.closing(text)
            if closing is None:
                parts.append(text)
                continue
            part, place = closing
            if place is None:
                return _Joined(cells, more, "its quote is not closed, or one inside it is not doubled")
            cells.append(self._splitter.unescaped("\n".join((*parts, part))))
            if place >= 0:
                rest = self._splitter.split(text, place)
                cells += rest.cells
                if rest.open_at is not None:
                    parts, size = [self._splitter.opening(text, rest.open_at)], 0
                    continue
            return _Joined(cells, more, self._swallows(split, cells, more))

    def _swallows(self, split: Split, cells: list[str], more: int) -> str | None:
        """Why a record over several lines is none: the lines inside it are rows of their own."""
        looks = self._looks(split)
        if self.width is None or self.profile is None or not looks.knows():
            return None
        inside = sorted({*range(min(more, _SEARCHED)), more - 1})
        rows = [self._is_row(self.lines[index], looks) for index in inside]
        if (rows[0] and (rows[-1] or len(cells) != self.width)) or 2 * sum(rows) > len(rows):
            return "its quote is not closed before the next row"
        return None

    def _looks(self, broken: Split) -> Profile:
        """How rows look, by the other rows; without any, by the first cells of the broken one."""
        if self.profile is not None and self.profile.knows():
            return self.profile
        return Profile(tuple(kind if (kind := kind_of(cell)) in STRONG else None for cell in broken.cells))

    def _is_row(self, raw: bytes | None, looks: Profile, may_open: bool = False) -> bool:
        """Whether a line alone looks like a row."""
        if raw is None:
            return False
        split = self._splitter.split(_text(raw))
        if split.open_at is not None:
            if not may_open or not split.cells:
                return False
        elif len(split.cells) != self.width:
            return False
        return looks.like(split.cells) or not looks.knows()

    def _to_next_row(self, broken: Split) -> int:
        """The lines up to the next one that looks like a row; none if there is none near."""
        looks = self._looks(broken)
        for count in range(_SEARCHED):
            if not self.lines.reaches(count):
                return count
            if self._is_row(self.lines[count], looks, may_open=True):
                return count
        return 0


def _text(raw: bytes) -> str:
    """Bytes that are not UTF-8 stay in the text as lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def _invalid(cells: Sequence[str]) -> int | None:
    """The number of the first cell that holds bytes which are not UTF-8."""
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return next(number for number, cell in enumerate(cells, 1) if any("\udc80" <= each <= "\udcff" for each in cell))
    return None


def shown(names: Sequence[str]) -> str:
    """Column names for an error line: those that look like names. Others may be somebody's words in a broken header."""
    likely = [name if NAME.fullmatch(name) and len(name.split()) <= 3 else "..." for name in names[:40]]
    return ", ".join(likely) + (", ..." if len(names) > 40 else "")
