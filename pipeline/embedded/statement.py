"""Parses the parts of a statement that the embedded server needs: where an INSERT's data begins, and a query's format.

Nothing here decides on permissions: the engine and embedded/analyst.py do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Strings, quoted names and comments are one token each, so that no keyword inside them counts. An unclosed one extends to the
# end, and nothing backtracks: the time is linear in the text.
_TOKEN = re.compile(
    rb"""(?P<skip>\s++|--[^\n]*+|/\*.*?(?:\*/|\Z))"""
    rb"""|(?P<quoted>'(?:[^'\\]|\\.|'')*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|`(?:[^`\\]|\\.)*+(?:`|\\?\Z))"""
    rb"""|(?P<word>\w++)|.""",
    re.DOTALL,
)
_HEAD_BYTES = 256 << 10
"""An INSERT's data must begin within this many bytes."""
_FORMAT_NAME = re.compile(rb"\s+(\w+)[ \t\f]*;?[ \t\f]*\r?\n?")
_OUTPUT_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:\bSETTINGS\b.*)?;?\s*$", re.IGNORECASE | re.DOTALL)
_NO_DATA_FOLLOWS = {b"VALUES", b"SELECT", b"WITH", b"INFILE", b"WATCH"}


class DataInsert(NamedTuple):
    """An INSERT with its rows behind it: `head [FROM INFILE ...] settings FORMAT format`, then `data`."""

    head: bytes
    settings: bytes
    format: bytes
    data: tuple[bytes | memoryview, ...]


class _Token(NamedTuple):
    start: int
    end: int
    kind: str
    text: bytes
    depth: int


def split_insert(statement: bytes) -> DataInsert | None:
    """Splits an INSERT ... FORMAT from the data behind it; None: the statement has no such data (VALUES, SELECT)."""
    settings = None
    first = True
    for token in _tokens(statement):
        word = token.text.upper() if token.kind == "word" and token.depth == 0 else b""
        if first and word != b"INSERT":
            return None
        first = False
        if word in _NO_DATA_FOLLOWS:
            return None
        if word == b"SETTINGS":
            settings = token.start
        if word == b"FORMAT" and (name := _FORMAT_NAME.match(statement, token.end)):
            split = token.start if settings is None else settings
            return DataInsert(
                statement[:split], statement[split : token.start], name[1], (memoryview(statement)[name.end() :],)
            )
    return None


def output_format(statement: bytes) -> str | None:
    """The format that a query names in its FORMAT clause."""
    match = _OUTPUT_FORMAT.search(statement[-4096:])
    return match[1].decode() if match else None


def _tokens(statement: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(statement, 0, _HEAD_BYTES):
        if match.lastgroup == "skip":
            continue
        text = match[0]
        if text == b")":
            depth -= 1
        yield _Token(match.start(), match.end(), match.lastgroup or "", text, depth)
        if text == b"(":
            depth += 1
