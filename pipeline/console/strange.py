"""Texts that strangers wrote, made fit to be looked at: what nobody sees is shown as its number, what never ends is cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import regex

MOST = 2_000
"""Characters of a text that are shown unless the caller says another number."""
MOST_WORD = 120
"""Letters and digits in a row, in the scripts that put blanks between words."""
MOST_MARKS = 6
"""Combining marks on one letter, and characters in a row that nobody sees. Vietnamese has 2, Hebrew with all its points 4."""
_JOINERS = "\u200c\u200d"  # Persian and emoji need them
_SUBTENDING = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"  # of category Cf, and seen
_FILLERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"
UNSEEN = rf"[\p{{Cc}}\p{{Cf}}\p{{Cs}}\p{{Zl}}\p{{Zp}}\p{{Noncharacter_Code_Point}}{_FILLERS}--\n\t{_JOINERS}{_SUBTENDING}]"
"""One character that nobody sees, or that turns the direction of those beside it."""
_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"  # of England, Scotland, Wales
_LETTER = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Nd}]"
_SPLIT = regex.compile(
    rf"(?V1){_FLAG}(*SKIP)(*FAIL)|(?P<unseen>{UNSEEN}+|[{_JOINERS}]{{2,}})"
    rf"|(?P<marks>\p{{M}}{{{MOST_MARKS + 1},}})|(?P<word>{_LETTER}{{{MOST_WORD + 1},}})"
)
_NAMES = {"\r": "CARRIAGE RETURN", "\0": "NULL", "\x1b": "ESCAPE", "\b": "BACKSPACE", "\x7f": "DELETE"}


class Part(NamedTuple):
    """A piece of a text."""

    kind: str
    """text; mark: one character that nobody sees, as its number; left: says what is left out."""
    text: str
    title: str = ""
    """Of a mark: the character's name."""


def text_of(value: object) -> str:
    """The value as text: none as nothing, bytes with escapes for what is no UTF-8."""
    if value is None:
        return ""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def parts(text: str, most: int = MOST) -> Iterator[Part]:
    """The text in pieces: of its first `most` characters, then one that says how many are left out."""
    text = text.replace("\r\n", "\n")
    at = 0
    for found in _SPLIT.finditer(text[:most]):
        if at < found.start():
            yield Part("text", text[at : found.start()])
        at = found.end()
        if found["word"] and at == most < len(text):  # one word goes on behind the end
            at = found.start()
            most = at + MOST_WORD
            break
        yield from _piece(found[0], found.lastgroup)
    if at < most and at < len(text):
        yield Part("text", text[at:most])
    if len(text) > most:
        yield _left(len(text) - most, "character")


def plain(text: str, most: int = MOST) -> str:
    """The same for where no markup can be, as the title of a page: isolated from what stands beside it."""
    return "\u2068" + "".join(part.text for part in parts(text, most)) + "\u2069"


def _piece(run: str, kind: str | None) -> Iterator[Part]:
    if kind == "unseen":
        for character in run[:MOST_MARKS]:
            name = unicodedata.name(character, _NAMES.get(character, "CONTROL CHARACTER"))
            yield Part("mark", f"[U+{ord(character):04X}]", name.lower())
        if len(run) > MOST_MARKS:
            yield _left(len(run) - MOST_MARKS, "unseen character")
        return
    most, what = (MOST_MARKS, "combining mark") if kind == "marks" else (MOST_WORD, "character")
    yield Part("text", run[:most])
    yield _left(len(run) - most, what)


def _left(count: int, what: str) -> Part:
    return Part("left", f"[… {count:,} {what}{'s' if count > 1 else ''} left out]")
