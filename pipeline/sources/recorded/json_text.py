"""Parses JSON as people have it: half a character in an escape becomes U+FFFD, and an error says where it is."""

from __future__ import annotations

import re

import orjson

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_HALF_BYTES = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity|inf|nan)\b")


class NotJson(Exception):
    """The bytes are no JSON: the reason, and where in them. The text never holds any of the bytes."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column

    def at(self, line: int = 1, column: int = 1) -> str:
        """The reason with line and column, for bytes that begin at this place of a file."""
        place = (line + self.line - 1, self.column if self.line > 1 else column + self.column - 1)
        return f"not JSON: {self.reason}: line {place[0]}, column {place[1]}"


def parsed(raw: bytes | str) -> object:
    """The value. Raises NotJson."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        first = error
    raw = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    repaired = _without_halves(raw)
    if repaired != raw:
        try:
            return orjson.loads(repaired)
        except orjson.JSONDecodeError as error:
            first, raw = error, repaired
    raise NotJson(_reason(first, raw), first.lineno, first.colno) from None


def json_in(text: str) -> object:
    """The object or list that a cell holds as JSON; None if it holds none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return parsed(text.encode())
    except NotJson:
        return None


def _without_halves(raw: bytes) -> bytes:
    r"""Escapes of half a character (\ud83d alone), and such bytes, become U+FFFD. Pairs stay."""
    if b"\\u" in raw:
        raw = _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], raw)
    if b"\xed" in raw:
        raw = _HALF_BYTES.sub(b"\xef\xbf\xbd", raw)
    return raw


def _reason(error: orjson.JSONDecodeError, raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    if (word := _NO_NUMBER.match(text[error.pos : error.pos + 12].encode())) is not None:
        return f"{word[0].decode()} is no number of JSON"
    return "not UTF-8" if error.msg.startswith("str is not valid UTF-8") else error.msg.partition(": line ")[0]
