"""Finds the values of a JSON document that is read in blocks, by their quotes and brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline.sources.recorded.archives import FileDamaged
from pipeline.sources.recorded.broken_json import STRING, following_element, has_mispaired_quotes
from pipeline.sources.recorded.lines import MAX_LINE

_SPACE = re.compile(rb"[\s\x00;]*+")
_SCALAR = re.compile(rb'[^\s,:"\[\]{}]++')
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
PAIRS = {b"]": b"[", b"}": b"{"}


class Scanner:
    """The bytes of a document, from a position on."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.data, self.at = b"", 0
        self._first = (0, 1, 1)
        self._known = (0, 1, 1)
        """A position in `data`, its line and its column: of its first byte, and where it was last asked for."""

    def more(self) -> bool:
        """Reads another block and forgets the bytes before the position. False at the end."""
        block = next(self._blocks, b"")
        if block:
            self._first = self._known = (0, *self.place())
            self.data, self.at = self.data[self.at :] + block, 0
        return bool(block)

    def place(self) -> tuple[int, int]:
        """Line and column of the position."""
        start, line, column = self._known if self._known[0] <= self.at else self._first
        lines = self.data.count(b"\n", start, self.at)
        column = self.at - self.data.rindex(b"\n", start, self.at) if lines else column + self.at - start
        self._known = (self.at, line + lines, column)
        return line + lines, column

    def next(self) -> bytes:
        """The next byte that is no space; blank at the end."""
        while True:
            space = _SPACE.match(self.data, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.data):
                return self.data[self.at : self.at + 1]
            if not self.more():
                return b""

    # --- values -----------------------------------------------------------------------------------------------------
    def string(self) -> bytes:
        """The text that comes next, in its quotes. Raises FileDamaged if there is none."""
        while (match := STRING.match(self.data, self.at)) is None:
            if self.next() != b'"' or len(self.data) - self.at > MAX_LINE or not self.more():
                raise self.damaged("no key where one should be")
        self.at = match.end()
        return match[0]

    def piece(self, keep: bool) -> tuple[bytes, str | None]:
        """The value that comes next, by its quotes and brackets, and why it can't be a whole one.

        Without `keep` its bytes are forgotten, so that it may have any size. Raises FileDamaged if its end is not in sight.
        """
        first = self.next()
        if first in (b"{", b"["):
            return self._bracketed(keep)
        if first == b'"':
            return self.string(), None
        while True:
            match = _SCALAR.match(self.data, self.at)
            if match is not None and match.end() == len(self.data) and match.end() - self.at < 1000 and self.more():
                continue
            if match is None:
                raise self.damaged("no value where one should be")
            self.at = match.end()
            return match[0], None

    def _bracketed(self, keep: bool) -> tuple[bytes, str | None]:
        """An object or a list, up to the bracket that closes it."""
        open_, at = [self.data[self.at : self.at + 1]], self.at + 1
        while open_:
            match = _BRACKET.match(self.data, at)
            if match is None:
                passed = at - self.at
                if not keep:
                    self.at, passed = at, 0
                if len(self.data) - self.at > MAX_LINE or not self.more():
                    return self._cut(None)
                at = self.at + passed
                continue
            bracket, at = match[1], match.end()
            if bracket in (b"{", b"["):
                if keep and bracket == b"{" == open_[-1] and self._follows_comma(at - 1):  # the next row: no key is before it
                    return self._cut(at - 1)
                open_.append(bracket)
                continue
            if PAIRS[bracket] not in open_:  # it closes a bracket around this value
                return self._cut(at - 1)
            while open_.pop() != PAIRS[bracket]:
                pass
        raw = self.data[self.at : at]
        self.at = at
        return raw, None

    def _follows_comma(self, at: int) -> bool:
        return self.data[max(at - 100, 0) : at].rstrip().endswith(b",")

    def _cut(self, end: int | None) -> tuple[bytes, str]:
        """A value that nothing closes before `end`; None: before the end of what can be seen."""
        following = None
        if has_mispaired_quotes(self.data[self.at : end]):
            following = following_element(self.data, self.at, len(self.data))
        if following is not None:
            stop, end = following.start(), following.end()
        elif end is not None:
            stop = end
        elif len(self.data) - self.at > MAX_LINE:
            raise self.damaged(f"a value of over {MAX_LINE >> 20} MB")
        else:
            raise self.damaged("the document ends inside a value")
        raw = self.data[self.at : stop]
        self.at = end
        return raw, "a quote or bracket is not closed"

    def damaged(self, reason: str) -> FileDamaged:
        """The error that the document breaks off here."""
        line, column = self.place()
        return FileDamaged(f"not JSON: {reason}: line {line}, column {column}")
