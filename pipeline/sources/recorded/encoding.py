"""Recognises how the bytes of a file spell text, and turns any encoding into UTF-8.

`recognise` guesses from the first bytes and says how sure it is; the reader uses the guess where it is sure. Bytes that are no
text of the encoding stay invalid UTF-8, so that the row which holds them is reported and no other.
"""

from __future__ import annotations

import codecs
import encodings
import re
from collections.abc import Iterable, Iterator
from encodings.aliases import aliases
from functools import cache
from itertools import chain
from pkgutil import iter_modules
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BY_BOM = "its byte order mark"
BY_BYTES = "it is not UTF-8"
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_LOOKED_AT = 1 << 16
_SURE = 0.25
"""chardet's confidence from which on it is right about short texts; below it, it is so where words have few ASCII letters."""
_LEAST = 0.05
"""Below it, words with many ASCII letters are taken for a Western language's."""
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_CENTRAL = {"cp1250": "cp1250", "iso8859-2": "iso8859-2", "cp1254": "cp1254", "iso8859-9": "cp1254"}
_WINDOWS = {"iso8859-1": "cp1252", "iso8859-15": "cp1252", "iso8859-7": "cp1253", "iso8859-9": "cp1254"}
_KEY = re.compile(r"[^a-z0-9]+")
_NO_FILES = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7")


class Guess(NamedTuple, Generic[T]):
    """What was recognised, how sure, and by what, for a person."""

    value: T
    sure: bool
    why: str


def recognise(head: bytes, whole: bool = True) -> Guess[str]:
    """The encoding of a file by its first bytes, as a name for the key `encoding`. `whole`: these are all its bytes."""
    for bom, name in BOMS:
        if head.startswith(bom):
            return Guess(name, True, BY_BOM)
    if (wide := _wide(head[:_LOOKED_AT])) is not None:
        return Guess(wide, True, "its zero bytes")
    valid, invalid = _utf8_counts(head)
    if not invalid:
        return Guess("utf-8", bool(valid) or whole, "all of it is valid" if valid else "only ASCII")
    if valid >= invalid:
        return Guess("utf-8", True, "most of it is valid")
    return Guess(eight_bit(head), False, BY_BYTES)


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark: ASCII characters leave zero bytes in the same places."""
    zeros = [head[place::4].count(0) for place in range(4)]
    quarter = len(head) // 4
    if not sum(zeros) or quarter < 2:
        return None
    if min(zeros[1:]) > 0.9 * quarter:
        return "utf-32-le"
    if min(zeros[:3]) > 0.9 * quarter:
        return "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    for name, here, there in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        lines, wide_lines = head.count(b"\n"), head.count("\n".encode(name))
        if here > 10 * there and here >= 0.2 * quarter and 2 * wide_lines >= lines:
            text = codecs.getincrementaldecoder(name)("replace").decode(head)
            if text.count("\ufffd") <= len(text) // 1000:
                return name
    return None


def _utf8_counts(head: bytes) -> tuple[int, int]:
    """Characters beyond ASCII that are valid, and bytes that are not. A character cut at the end counts as neither."""
    if head.isascii():
        return 0, 0
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head)
    invalid = sum("\udc80" <= character <= "\udcff" for character in text)
    return sum(character > "\x7f" for character in text) - invalid, invalid


def eight_bit(sample: bytes) -> str:
    """The legacy encoding that bytes which are not UTF-8 are most probably in: a guess."""
    import chardet  # its models take a moment to load, and are seldom needed

    some = b"\n".join(line for line in sample[: 16 * _LOOKED_AT].splitlines() if not line.isascii())[:_LOOKED_AT]
    guess = chardet.detect(some)
    name = codecs.lookup(guess["encoding"]).name if guess["encoding"] and is_text(guess["encoding"]) else "cp1252"
    words = b"".join(_WORD.findall(some))
    beyond = sum(byte > 127 for byte in words) / max(len(words), 1)
    if guess["confidence"] >= _SURE or beyond > 0.7:
        return _WINDOWS.get(name, name)
    return _CENTRAL.get(name, "cp1252") if guess["confidence"] >= _LEAST else "cp1252"


def is_text(name: str) -> bool:
    """Whether `name` is an encoding of texts."""
    if _KEY.sub("_", name.lower()).strip("_") not in _known():
        return False  # Python imports a module of each name, and remembers all that are none
    try:
        return codecs.lookup(name)._is_text_encoding and codecs.lookup(name).name not in _NO_FILES
    except (LookupError, ValueError, UnicodeError):
        return False


@cache
def _known() -> frozenset[str]:
    """The names of Python's encodings, and of their modules, with _ between words."""
    modules = (module.name for module in iter_modules(encodings.__path__))
    return frozenset(_KEY.sub("_", name) for name in (*aliases, *aliases.values(), *modules))


def as_utf8(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The blocks in UTF-8, without a byte order mark."""
    first = True
    for block in blocks if is_utf8(name) else _transcoded(blocks, name):
        if first and block:
            first = False
            while block.startswith(codecs.BOM_UTF8):
                block = block.removeprefix(codecs.BOM_UTF8)
        yield block


def is_utf8(name: str) -> bool:
    return codecs.lookup(name).name in ("utf-8", "utf-8-sig", "ascii")


_BOM_32_BE = codecs.BOM_UTF32_BE
"""That of UTF-32 LE begins as that of UTF-16 LE."""


def _transcoded(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    rest = iter(blocks)
    first = next(rest, b"")
    if codecs.lookup(name).name in ("utf-16", "utf-32") and not first.startswith(
        (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, _BOM_32_BE)
    ):
        name += "-le"  # without a byte order mark Python refuses it
    decoder = codecs.getincrementaldecoder(name)("earshot-wide" if codecs.lookup(name).name in WIDE else "earshot-byte")
    for block in chain((first,), rest):
        yield decoder.decode(block).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", True).encode("utf-8", "surrogateescape")


def _end_of(error: UnicodeError) -> int:
    assert isinstance(error, UnicodeDecodeError)
    return error.end


# Half a character of UTF-16 becomes U+FFFD. Other bytes that are no text become a byte that is never in UTF-8.
codecs.register_error("earshot-wide", lambda error: ("\ufffd", _end_of(error)))
codecs.register_error("earshot-byte", lambda error: ("\udcff", _end_of(error)))
