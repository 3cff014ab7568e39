"""The rows of a JSON document, read in blocks: each element is found by its brackets and parsed by itself.

So a document of any size needs the memory of one element, and a bad value costs its own element. Where quotes or brackets hide
the end of an element, it is searched by the next element that begins with the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.sources.recorded.archives import FileDamaged
from pipeline.sources.recorded.broken_json import following_element, has_mispaired_quotes
from pipeline.sources.recorded.json_text import NotJson, parsed
from pipeline.sources.recorded.lines import MAX_LINE
from pipeline.sources.recorded.scanner import Scanner

_ASSIGNED = re.compile(rb"\s*(?:(?:var|let|const)\s+)?[\w$.]+\s*=\s*(?=[\[{])")
"""Before the document in the .js files of some exports: window.name = [...]"""


class Element(NamedTuple):
    """A row: its bytes, the place where they begin, its value or why it has none, its key in an object that is keyed by id."""

    raw: bytes
    line: int
    column: int
    value: object
    problem: str | None
    key: str | None


class Document:
    """Reads a document.

    `path`: where its rows are; None: the document itself. `needed`: the names that a mapping reads in a row. `keyed`: whether
    an object holds rows by their ids; None: the first object shows it.
    """

    def __init__(self, blocks: Iterable[bytes], path: str | None, needed: Sequence[str], keyed: bool | None = None) -> None:
        self._buffer = Scanner(blocks)
        self._path = path
        self._needed = {name.partition(".")[0] for name in needed if not name.startswith("$")}
        self._keyed: bool | None = False if path is not None and path.endswith("*") else keyed
        self.found = False
        """Whether `path` led to something."""
        self.is_object = False
        """The document itself is the row that came last."""

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
            if byte not in (b"{", b"["):
                raise self._buffer.damaged("text where an object or a list should be")
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
                    self._pass_over()
        elif parts:
            self._pass_over()
        else:
            self.found = True
            yield from self._rows(first, key)

    def _rows(self, first: bytes, key: str | None) -> Iterator[Element]:
        """The elements of a list, the values of an object keyed by id, or one row."""
        if first == b"[":
            for _ in self._members(first):
                yield self._value(key)
        elif first == b"{" and self._holds_rows():
            for name in self._members(first):
                yield self._value(name)
        else:
            self.is_object = first == b"{" and self._path is None
            yield self._value(key)

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
                    raise self._buffer.damaged("a bracket that closes nothing")
                buffer.at += 1
                return
            if not byte:
                raise self._buffer.damaged("the document ends early")
            index += 1
            yield str(index) if first == b"[" else self._key()

    def _key(self) -> str:
        name = self._buffer.string()
        if self._buffer.next() != b":":
            raise self._buffer.damaged("a key without a value")
        self._buffer.at += 1
        if not self._buffer.next():
            raise self._buffer.damaged("the document ends early")
        try:
            return str(parsed(name))
        except NotJson:
            raise self._buffer.damaged("a key that is no text") from None

    # --- a value ----------------------------------------------------------------------------------------------------
    def _value(self, key: str | None) -> Element:
        """The next value, by its brackets."""
        self._buffer.next()
        line, column = self._buffer.place()
        raw, problem = self._buffer.piece(keep=True)
        value: object = None
        if problem is None:
            try:
                value = parsed(raw)
            except NotJson as error:
                raw, problem = self._shortened(raw), error.at(line, column)
        else:
            problem = f"not JSON: {problem}: line {line}, column {column}"
        while not self._ends(raw):
            if len(raw) > MAX_LINE:
                raise self._buffer.damaged("no value where one should be")
            problem = problem or f"not JSON: text after a value: line {line}, column {column}"
            raw += self._buffer.piece(keep=True)[0]
        return Element(raw, line, column, value, problem, key)

    def _ends(self, raw: bytes) -> bool:
        """Whether a value that was read ends here; a colon in its place is passed over."""
        following = self._buffer.next()
        if following == b":":
            self._buffer.at += 1
            return self._buffer.next() == b""
        return following in (b"", b",", b"]", b"}") or (following == b"{" and raw[:1] == b"{")

    def _shortened(self, raw: bytes) -> bytes:
        """A value that is no JSON, without the elements that it took up because one of its quotes is not closed."""
        following = following_element(raw, 0, len(raw)) if has_mispaired_quotes(raw) else None
        if following is None:
            return raw
        self._buffer.at -= len(raw) - following.end()
        return raw[: following.start() + 1]

    def _pass_over(self) -> None:
        """Goes past the next value, whatever its size."""
        self._buffer.piece(keep=False)

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
                value = inside._value(name).value
                names.append(set(value) if isinstance(value, dict) else set())
        except (FileDamaged, NotJson):
            pass  # the block ends here
        if self._needed:
            return any(self._needed & each for each in names)
        return len(names) > 1 and all(2 * len(each & names[0]) >= len(each | names[0]) for each in names)
