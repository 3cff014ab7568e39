"""Elements of a JSON document whose quotes or brackets are not closed: how to see it, and where the next element begins."""

from __future__ import annotations

import re

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\]++|\\.)*+")\s*:', re.DOTALL)
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}]', re.DOTALL)
_AFTER = (b"", b",", b":", b"]", b"}")


def following_element(data: bytes, start: int, end: int) -> re.Match[bytes] | None:
    """What stands between the object that begins at `start` and the next one with the same first key."""
    first = _FIRST_KEY.match(data, start)
    if first is None:
        return None
    again = re.compile(rb"(?:\}\s*,?|,)\s*(?=\{\s*" + re.escape(first[1]) + rb"\s*:)")
    return again.search(data, first.end(), end)


def has_mispaired_quotes(raw: bytes) -> bool:
    """Whether a word follows a text: then a quote before it is not closed, and texts and what is between them are exchanged."""
    return any(raw[text.end() : text.end() + 20].lstrip()[:1] not in _AFTER for text in STRING.finditer(raw))


def closed(beginning: bytes) -> bytes:
    """The beginning of a document up to the last bracket that closes there, and brackets for those that are open then."""
    open_, end, left = bytearray(), 0, b""
    for match in _TEXT_OR_BRACKET.finditer(beginning):
        mark = match[0]
        if mark in (b"{", b"["):
            open_ += mark
        elif mark in (b"}", b"]") and open_:
            open_.pop()
            end, left = match.end(), bytes(open_)
    return beginning[:end] + left[::-1].translate(bytes.maketrans(b"{[", b"}]"))
