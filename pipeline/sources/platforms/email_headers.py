"""The header lines of an e-mail, as they come: folded, repeated, in any charset, in parts that break their own rules.

Nothing here raises for what a header says, and each value is cut to LONGEST_VALUE first: the standard library's parsers are
recursive, and slow for lines that someone wrote on purpose.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final, NamedTuple

from pipeline.sources.recorded.encoding import is_text, recognise

Headers = dict[str, list[bytes]]
"""The raw values, unfolded, by name in small letters."""
LONGEST_VALUE = 8_192
LONGEST_ADDRESS = 320
"""Bytes: 64 before the @, 255 after it."""
LONGEST_NAME = 500
MOST_GUESSES = 50
"""Of a charset, in a header or a body: a mail may name a wrong one for each of a thousand parts."""
_LINE = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_BLANK = re.compile(rb"^\r?\n", re.MULTILINE)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bq])\?([^?]*)\?=", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<=\?=)\s+(?==\?)")
_UNSEEN: Final = {**dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, 0xFEFF], None), 0xA0: " "}
_IN_BRACKETS = re.compile(r"<([^<>\s]{1,998})>")
_WESTERN = ("cp1252", "iso8859-15", "ascii")
_WIDER: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
"""Charsets that mail programs name, and the wider ones in which they write."""


class Address(NamedTuple):
    """An author: the address as it is written, and the name, blank if there is none."""

    email: str
    name: str


def read_headers(data: bytes, start: int, end: int) -> tuple[Headers, int]:
    """The header lines of data[start:end], and where its body begins. Lines that are no header are passed over."""
    blank = _BLANK.search(data, start, end)
    until, body = (blank.start(), blank.end()) if blank else (end, end)
    headers: Headers = {}
    for line in _LINE.finditer(data, start, until):
        value = _FOLD.sub(b" ", line[2][: 2 * LONGEST_VALUE]).strip()[:LONGEST_VALUE]
        headers.setdefault(line[1].decode("ascii").lower(), []).append(value)
    return headers, body


def text_header(headers: Headers, name: str) -> str:
    """The first header of this name as a person reads it, blank if there is none."""
    values = headers.get(name)
    return " ".join(unworded(_plain(values[0])).split()) if values else ""


def plain_header(headers: Headers, name: str) -> str:
    """The first header of this name as it is written, blank if there is none."""
    values = headers.get(name)
    return _plain(values[0]) if values else ""


def _plain(value: bytes) -> str:
    return decoded(value, "utf-8")


def unworded(text: str) -> str:
    """The encoded words of RFC 2047 as text; words that are broken stay as they are. A character may be split over two."""
    if "=?" not in text:
        return text
    text = _BETWEEN.sub("", text)
    parts: list[str] = []
    pending, charset, at = b"", "", 0
    for word in _WORD.finditer(text):
        data = _bytes_of(word[2].lower(), word[3])
        named = word[1].split("*")[0].lower()
        if pending and (word.start() != at or named != charset or data is None):
            parts.append(decoded(pending, charset, len(parts) < MOST_GUESSES))
            pending = b""
        parts.append(text[at : word.start()])
        if data is None:
            parts.append(word[0])
        else:
            pending, charset = pending + data, named
        at = word.end()
    return "".join((*parts, decoded(pending, charset, len(parts) < MOST_GUESSES), text[at:]))


def _bytes_of(encoding: str, written: str) -> bytes | None:
    try:
        if encoding == "q":
            return binascii.a2b_qp(written.encode("ascii", "replace"), header=True)
        return base64_bytes(written.encode("ascii", "replace"))
    except ValueError:
        return None


def base64_bytes(written: bytes) -> bytes:
    """The bytes of Base64 from which line ends, padding or an end may be missing. Raises ValueError where it is none."""
    found = re.sub(rb"[^A-Za-z0-9+/]+", b"", written)
    found = found[: len(found) - (len(found) % 4 == 1)]
    return binascii.a2b_base64(found + b"=" * (-len(found) % 4))


def decoded(data: bytes, charset: str, guess: bool = True) -> str:
    """The text of bytes of a declared charset, which may be blank, unknown, or wrong: it is then UTF-8 if they are, else the
    likeliest; without `guess`, which takes some ms, cp1252. Without characters that no one sees."""
    text = _decoded(data, charset, guess).replace("\r\n", "\n").replace("\r", "\n").translate(_UNSEEN)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair, of UTF-7 or UTF-16
        return text.encode("utf-8", "replace").decode()
    return text


def _decoded(data: bytes, charset: str, guess: bool) -> str:
    if data.isascii() and b"\x1b" not in data and not charset.lower().startswith(("utf-7", "utf-16", "utf-32", "hz")):
        return data.decode("ascii")
    named = charset.strip("\"' ")[:60]
    name = codecs.lookup(named).name if is_text(named) or named.lower() == "utf-7" else ""
    name = _WIDER.get(name, name)
    for each in ("utf-8", name) if name in _WESTERN else (name, "utf-8"):
        try:
            return data.decode(each) if each else data.decode("utf-8")
        except (UnicodeError, ValueError):
            continue
    if name and data.isascii():
        return data.decode(name, "replace")
    return data.decode(recognise(data).value if guess else "cp1252", "replace")


def addresses(values: Iterable[bytes]) -> list[Address]:
    """The addresses in header lines, in their order; what has no @ is none."""
    lines = [_plain(value) for value in values]
    found = _addresses(lines)
    if found and not any("=?" in each.name for each in found):
        return found
    return _addresses([unworded(line) for line in lines]) or found  # an address inside of an encoded word


def _addresses(lines: list[str]) -> list[Address]:
    try:
        pairs = getaddresses(lines)
    except (RecursionError, ValueError, IndexError, TypeError):
        return []
    pairs = [(name, "".join(address.split())) for name, address in pairs]
    return [
        Address(address, " ".join(unworded(name).split())[:LONGEST_NAME])
        for name, address in pairs
        if "@" in address[1:-1] and len(address.encode()) <= LONGEST_ADDRESS
    ]


def message_id(text: str) -> str:
    """The first id in angle brackets, without them; blank if there is none."""
    found = _IN_BRACKETS.search(text)
    return found[1] if found else ""


def moment_of(text: str) -> datetime | None:
    """The time of a date as mails write it, in UTC; without a zone, it is taken for UTC."""
    try:
        moment = parsedate_to_datetime(text[:200])
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
