"""The character table of folding: one entry for each character, from Python's own Unicode data.

Symbols are no letters. A registered sign, trade mark or copyright sign is a space; a footnote's digit and a circled one (², ①)
stay as they are, and letters.py counts them as no letters. Letters in circles, in squares and above the line are `DRESSED`: a
run of them is a word (ⓐⓒⓜⓔ), a single one, or one right after a word, is a symbol (Acmeⓡ, Acmeᵀᴹ).
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

SIZE = 0x30000
WIDTH = 4
BLOCK = 32
"""So many characters are looked at together."""
DRESSED = 0x80
"""Added to the length of a letter in a circle, in a square or above the line."""
_DROPPED = (
    (0x300, 0x36F), (0x483, 0x487), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),  # accents
    (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7),  # Hebrew points
    (0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6DC), (0x6DF, 0x6E8), (0x6EA, 0x6ED),  # Arabic
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0),  # invisible
)  # fmt: skip
_INVISIBLE = {"Cc", "Cf"}
_VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
_APOSTROPHES = "\x91\x92`´‘’‚‛′‵ʹʻʼʽʾʿˈˊˋ΄᾽᾿῾՚׳ߴߵꞋꞌ❛❜"
_ARABIC = {"ک": "ك", "ڪ": "ك", "ی": "ي", "ى": "ي", "ې": "ي", "ٱ": "ا", "ة": "ه", "ہ": "ه", "ە": "ه", "ھ": "ه", "ۃ": "ه"}
_REPLACED: dict[int, str | None] = {
    **{ord(c): to for c, to in zip("øłđðħŧıæœþ", ("o", "l", "d", "d", "h", "t", "i", "ae", "oe", "th"), strict=True)},
    **{ord(c): to for c, to in _ARABIC.items()},
    ord("ւ"): "վ",  # in the Armenian ligature և, whose capitals are ԵՎ
    **{ord(c): "'" for c in _APOSTROPHES},
    **{ord(c): '"' for c in "“”„«»״"},
    **{ord(c): "-" for c in "‐‑‒–—―−־"},
    **{ord(c): " " for c in "™℠®©℗⠀"},
    **{code: " " for code in range(0x3001) if chr(code).isspace()},
    **{code: None for first, last in _DROPPED for code in range(first, last + 1)},
}
_WHOLE = {
    *range(0x3131, 0x3164),
    *range(0x3165, 0x318F),
}  # Korean letters that stand alone, as in ㅋㅋ: decomposed they would be parts of syllables


class FoldTable(NamedTuple):
    """Character c becomes `lengths[c]` characters, the n-th of which is `characters[n, c]`."""

    characters: Codes
    lengths: Bytes
    """Plus DRESSED for such letters."""


@cache
def table() -> FoldTable:
    """Built once a process, in a tenth of a second."""
    characters, lengths = np.zeros((WIDTH, SIZE), np.uint32), np.ones(SIZE, np.uint8)
    characters[0] = np.arange(SIZE)
    blocks = (range(first, first + BLOCK) for first in range(0, SIZE, BLOCK))
    for code in chain.from_iterable(block for block in blocks if _may_change(block)):
        folded = _fold_one(code)
        if folded != chr(code) and len(folded) <= WIDTH:
            lengths[code] = len(folded) + (DRESSED if _is_dressed(chr(code)) else 0)
            for index, character in enumerate(folded):
                characters[index, code] = ord(character)
    return FoldTable(characters, lengths)


def _may_change(block: range) -> bool:
    """Whether folding changes a character of the block: it does not in most, as in those of Chinese characters."""
    text = "".join(map(chr, block))
    plain = unicodedata.is_normalized("NFKD", text) and text.casefold() == text and _REPLACED.keys().isdisjoint(block)
    return not plain or not _INVISIBLE.isdisjoint(map(unicodedata.category, text))


def _fold_one(code: int) -> str:
    letter = chr(code)
    if code in _WHOLE or 0xD800 <= code < 0xE000:
        return letter
    if letter in _APOSTROPHES:
        return "'"
    if is_invisible(code):
        return ""
    if _is_symbol(letter):
        return " " if _form(letter) == "<super>" and unicodedata.category(letter) == "So" else letter
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", letter).casefold())
    return folded.translate(_REPLACED)


def is_invisible(code: int) -> bool:
    """Whether a character takes no room and is no letter: controls, marks of direction, joiners, soft hyphens."""
    letter = chr(code)
    return unicodedata.category(letter) in _INVISIBLE and code not in _VISIBLE_FORMATS and not letter.isspace()


def _form(letter: str) -> str:
    """The kind of compatibility form, such as <circle>; blank for others."""
    first = unicodedata.decomposition(letter).partition(" ")[0]
    return first if first.startswith("<") else ""


def _is_symbol(letter: str) -> bool:
    """A form of Latin letters or digits that is no letter itself: ™, №, ², ①, ½."""
    form = _form(letter)
    if not form or form == "<sub>" or unicodedata.category(letter) not in ("So", "No") or _is_dressed(letter):
        return False
    plain = unicodedata.normalize("NFKD", letter)
    return any(c.isalnum() for c in plain) and all(c.isascii() or not c.isalnum() for c in plain)


def _is_dressed(letter: str) -> bool:
    form, category = _form(letter), unicodedata.category(letter)
    if category == "Lm":
        return form == "<super>"
    plain = unicodedata.normalize("NFKD", letter)
    return category == "So" and form in ("<circle>", "<square>") and len(plain) == 1 and plain.isascii()
