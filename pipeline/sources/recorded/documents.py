"""The rows of a JSON document, read in blocks: each element is found by its brackets and parsed by itself.

So a document of any size needs the memory of one element, and a bad value costs its own element. Where quotes or brackets hide
the end of an element, it is searched by the next element that begins with the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.sources.recorded.archives import FileDamaged
from pipeline.sources.recorded.buffer import Buffer
from pipeline.sources.recorded.json_text import NotJson, parsed
from pipeline.sources.recorded.lines import MAX_LINE

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:"\[\]{}]++')
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
_ASSIGNED = re.compile(rb"\s*(?:(?:var|let|const)\s+)?[\w$.]+\s*=\s*(?=[\[{])")
"""Before the document in the .js files of some exports: window.name = [...]"""
_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\]++|\\.)*+")\s*:', re.DOTALL)
PAIRS = {b"]": b"[", b"}": b"{"}


class Element(NamedTuple):
    """A row's bytes, the place where they begin, and its key in an object that is keyed by id."""

    raw: bytes
    line: int
    column: int
    key: str | None = None
    problem: str | None = None
    """Why the bytes are not a whole element."""


class Document:
    """Reads a document.

    `path`: where its rows are; None: the document itself. `needed`: the names that a mapping reads in a row.
    """

    def __init__(self, blocks: Iterable[bytes], path: str | None, needed: Sequence[str]) -> None:
        self._buffer = Buffer(blocks)
        self._path = path
        self._needed = {name.partition(".")[0] for name in needed if not name.startswith("$")}
        self._keyed: bool | None = False if path is not None and path.endswith("*") else None
        self.found = False
        """Whether `path` led to something."""

    def elements(self) -> Iterator[Element]:
        """Every row, also those that can't be read. Raises FileDamaged where the document breaks off."""
        buffer = self._buffer
        buffer.next()
        if (assigned := _ASSIGNED.match(buffer.data, buffer.at)) is not None:
            buffer.at = assigned.end()
        while (byte := buffer.next()) != b"":
            if byte == b",":
                buffer.at += 1
                continue
            parts = self._path.split(".") if self._path else []
            yield from self._walk(parts, None)

    # --- down the path ----------------------------------------------------------------------------------------------
    def _walk(self, parts: list[str], key: str | None) -> Iterator[Element]:
        """The rows below the value that comes next."""
        first = self._buffer.next()
        if parts and first in (b"{", b"["):
            for name in self._members(first):
                if parts[0] in ("*", name):
                    yield from self._walk(parts[1:], name if parts[0] == "*" and first == b"{" else key)
                elif name == self._path:
                    yield from self._walk([], key)
                else:
                    self._value(keep=False)
        elif parts:
            self._value(keep=False)
        else:
            self.found = True
            yield from self._rows(first, key)

    def _rows(self, first: bytes, key: str | None) -> Iterator[Element]:
        """The elements of a list, the values of an object keyed by id, or one row."""
        if first == b"[":
            for _ in self._members(first):
                yield self._value(key=key)
        elif first == b"{" and self._holds_rows():
            for name in self._members(first):
                yield self._value(key=name)
        else:
            yield self._value(key=key)

    def _members(self, first: bytes) -> Iterator[str]:
        """Goes through an object or a list: the name or index of each value, which the caller then reads or passes over."""
        buffer = self._buffer
        buffer.at += 1
        index = -1
        while True:
            byte = buffer.next()
            if byte == b",":
                buffer.at += 1
                continue
            if byte in (b"]", b"}"):
                if byte != (b"]" if first == b"[" else b"}"):
                    raise self._damaged("a bracket that closes nothing")
                buffer.at += 1
                return
            if not byte:
                raise self._damaged("the document ends early")
            index += 1
            yield str(index) if first == b"[" else self._key()

    def _key(self) -> str:
        name = self._string()
        if self._buffer.next() != b":":
            raise self._damaged("a key without a value")
        self._buffer.at += 1
        if not self._buffer.next():
            raise self._damaged("the document ends early")
        try:
            return str(parsed(name))
        except NotJson:
            raise self._damaged("a key that is no text") from None

    def _string(self) -> bytes:
        buffer = self._buffer
        while (match := _STRING.match(buffer.data, buffer.at)) is None:
            if buffer.next() != b'"' or len(buffer.data) - buffer.at > MAX_LINE or not buffer.more():
                raise self._damaged("no key where one should be")
        buffer.at = match.end()
        return match[0]

    # --- a value ----------------------------------------------------------------------------------------------------
    def _value(self, keep: bool = True, key: str | None = None) -> Element:
        """The next value, by its brackets. Without `keep` its bytes are forgotten, so that it may have any size."""
        line, column = self._buffer.place()
        parts: list[bytes] = []
        problem = None
        while True:
            raw, problem = self._piece(keep)
            parts.append(raw)
            following = self._buffer.next()
            if problem or following in (b"", b",", b"]", b"}") or (following == b"{" and raw[:1] == b"{"):
                return Element(b"".join(parts), line, column, key, problem)
            if following == b":":
                self._buffer.at += 1
                self._buffer.next()
            if len(parts) > 100:
                raise self._damaged("no value where one should be")
            parts.append(b" ")  # text after a value: it makes the element no JSON

    def _piece(self, keep: bool) -> tuple[bytes, str | None]:
        buffer = self._buffer
        first = buffer.next()
        if first in (b"{", b"["):
            return self._bracketed(keep)
        if first == b'"':
            return self._string(), None
        while True:
            match = _SCALAR.match(buffer.data, buffer.at)
            if match is not None and match.end() == len(buffer.data) and match.end() - buffer.at < 1000 and buffer.more():
                continue
            if match is None:
                raise self._damaged("no value where one should be")
            buffer.at = match.end()
            return match[0], None

    def _bracketed(self, keep: bool) -> tuple[bytes, str | None]:
        """An object or a list, up to the bracket that closes it."""
        buffer = self._buffer
        open_, at = [buffer.data[buffer.at : buffer.at + 1]], buffer.at + 1
        while open_:
            match = _BRACKET.match(buffer.data, at)
            if match is None:
                passed = at - buffer.at
                if not keep:
                    buffer.at, passed = at, 0
                if len(buffer.data) - buffer.at > MAX_LINE or not buffer.more():
                    return self._cut(None)
                at = buffer.at + passed
                continue
            bracket, at = match[1], match.end()
            if bracket in (b"{", b"["):
                open_.append(bracket)
                continue
            if PAIRS[bracket] not in open_:  # it closes a bracket around this value
                return self._cut(at - 1)
            while open_.pop() != PAIRS[bracket]:
                pass
        raw = buffer.data[buffer.at : at]
        buffer.at = at
        return raw, None

    def _cut(self, end: int | None) -> tuple[bytes, str]:
        """A value that nothing closes before `end` (None: in sight): up to the next one with the same first key."""
        buffer = self._buffer
        first = _FIRST_KEY.match(buffer.data, buffer.at)
        following = None
        if first is not None:
            again = re.compile(rb"(?:\}\s*,?|,)\s*(?=\{\s*" + re.escape(first[1]) + rb"\s*:)")
            following = again.search(buffer.data, first.end(), len(buffer.data) if end is None else end)
        if following is not None:
            stop, end = following.start(), following.end()
        elif end is not None:
            stop = end
        elif len(buffer.data) - buffer.at > MAX_LINE:
            raise self._damaged(f"a value of over {MAX_LINE >> 20} MB")
        else:
            raise self._damaged("the document ends inside a value")
        raw = buffer.data[buffer.at : stop]
        buffer.at = end
        return raw, "a quote or bracket is not closed"

    def _damaged(self, reason: str) -> FileDamaged:
        line, column = self._buffer.place()
        return FileDamaged(f"not JSON: {reason}: line {line}, column {column}")

    # --- what kind of object ----------------------------------------------------------------------------------------
    def _holds_rows(self) -> bool:
        """Whether the object that comes next is keyed by id; the first one decides for all."""
        if self._keyed is None:
            self._keyed = self._is_keyed()
        return self._keyed

    def _is_keyed(self) -> bool:
        """Whether the object that comes next holds rows by their ids, rather than being a row: by its first block."""
        buffer = self._buffer
        if len(buffer.data) - buffer.at < 1 << 16:
            buffer.more()
        inside = Document([buffer.data[buffer.at : buffer.at + (1 << 20)]], None, ())
        names: list[set[str]] = []
        try:
            inside._buffer.next()
            for name in inside._members(b"{"):
                if name in self._needed or inside._buffer.next() != b"{":
                    return False
                value = parsed(inside._value().raw)
                names.append(set(value) if isinstance(value, dict) else set())
        except (FileDamaged, NotJson):
            pass  # the block ends here
        if self._needed:
            return any(self._needed & each for each in names)
        return len(names) > 1 and all(2 * len(each & names[0]) >= len(each | names[0]) for each in names)
