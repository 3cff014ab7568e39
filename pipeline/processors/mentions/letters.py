"""Kinds of characters, and which of them make a term beside them a part of a word."""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.processors.mentions.fold_table import SIZE, Bytes


class Letter(IntEnum):
    """The kind of a character, for a term right beside it."""

    NONE = 0
    """Not a letter, or a letter of a script without spaces."""
    WORD = 1
    """A letter or digit of a script that separates words, or an underscore."""
    HANGUL = 2
    HANGUL_REST = 3
    """The second or third letter of a Korean syllable: it belongs to the first."""
    MARK = 4
    """A combining mark of a script that separates words: it belongs to its letter."""
    OPEN_MARK = 5
    """A combining mark of a script without spaces."""


_UNSPACED = (
    (0x0E00, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19FF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F),  # Thai to Myanmar, Khmer, ...
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x312F), (0x31A0, 0x31FF),  # kana, bopomofo
    (0x3400, 0xA4CF), (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0x16FE0, 0x1B2FF), (0x20000, SIZE - 1),  # Han, Yi
)  # fmt: skip
_HANGUL = ((0x1100, 0x115F), (0x3131, 0x318E), (0xA960, 0xA97C))
_HANGUL_REST = ((0x1160, 0x11FF), (0xD7B0, 0xD7FB))


def _join_table(joins: dict[Letter, set[Letter]]) -> npt.NDArray[np.bool_]:
    """[edge of the term, character beside it] -> whether the two belong together, so that the term is only a part of a word."""
    return np.array([[beside in joins.get(edge, set()) for beside in Letter] for edge in Letter])


_RESTS = {Letter.HANGUL_REST, Letter.MARK, Letter.OPEN_MARK}
JOINS_BEFORE = _join_table({Letter.WORD: {Letter.WORD, Letter.MARK}, Letter.HANGUL: {Letter.HANGUL, Letter.HANGUL_REST}})
JOINS_AFTER = _join_table(
    {Letter.NONE: _RESTS, Letter.HANGUL: _RESTS, Letter.WORD: {Letter.WORD, Letter.MARK, Letter.OPEN_MARK}}
)


@cache
def kinds_of_letters() -> Bytes:
    """The `Letter` of each character. Built once a process."""
    kinds = np.array([_plain_kind(chr(code)) for code in range(SIZE)], np.uint8)
    for ranges, letter, mark in (
        (_UNSPACED, Letter.NONE, Letter.OPEN_MARK),
        (_HANGUL, Letter.HANGUL, Letter.HANGUL),
        (_HANGUL_REST, Letter.HANGUL_REST, Letter.HANGUL_REST),
    ):
        for first, last in ranges:
            part = kinds[first : last + 1]
            part[part == Letter.WORD] = letter
            part[part == Letter.MARK] = mark
    return kinds


def _plain_kind(character: str) -> Letter:
    category = unicodedata.category(character)
    if character == "_" or character.isalnum() and category != "No":
        return Letter.WORD
    return Letter.MARK if category[0] == "M" else Letter.NONE


def edge(character: str) -> Letter:
    """The kind of a term's first or last character. An @, # or + joins a letter beside it: "me@acme.org" has no @acme."""
    kind = Letter(int(kinds_of_letters()[min(ord(character), SIZE - 1)]))
    if kind == Letter.NONE and unicodedata.category(character) != "So" and not character.isalnum():
        return Letter.WORD
    return {Letter.HANGUL_REST: Letter.HANGUL, Letter.MARK: Letter.WORD, Letter.OPEN_MARK: Letter.NONE}.get(kind, kind)


class Case(IntEnum):
    """The kind of a character in a joined hashtag."""

    END = 0
    """None: the hashtag ends here."""
    OTHER = 1
    """A small letter, or of a script without case."""
    UPPER = 2
    DIGIT = 3
    SPLIT = 4
    """An underscore."""


@cache
def cases() -> Bytes:
    """The `Case` of each character, before folding. Built once a process."""
    return np.array([_case(chr(code)) for code in range(SIZE)], np.uint8)


def _case(character: str) -> Case:
    category = unicodedata.category(character)
    if character == "_":
        return Case.SPLIT
    if category == "Nd":
        return Case.DIGIT
    if category in ("Lu", "Lt"):
        return Case.UPPER
    return Case.OTHER if category[0] in "LM" or category in ("Cf", "Nl") else Case.END
