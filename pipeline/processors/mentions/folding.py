"""Folds texts for matching, so that case, accents and spacing do not matter.

Each character is folded by itself, by a table: Unicode's compatibility decomposition (NFKD) and case folding, without the
accents of Latin, Greek and Cyrillic letters, the vowel points of Hebrew and Arabic, and invisible characters (soft hyphens,
zero-width characters, variation selectors). So é, É, ｅ and e are one, as are ß and ss, İ and i, ς and σ, ﾍﾞ and ベ, ё and е;
ø, ł, æ and the like become o, l, ae, and curly quotes and dashes plain ones. A run of white space is
one space. All characters above U+2FFFF become one; a character that would become more than four stays unchanged.

ASCII texts, nearly all of them in most streams, take a separate path that costs almost nothing.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Kind = TypeVar("Kind", Codes, Bytes)

SIZE = 0x30000
_UTF32 = f"utf-32-{'le' if sys.byteorder == 'little' else 'be'}"
_SPACE = 32
WIDTH = 4
_DROPPED = (
    (0x300, 0x36F), (0x483, 0x487), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),  # accents
    (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7),  # Hebrew points
    (0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6DC), (0x6DF, 0x6E8), (0x6EA, 0x6ED),  # Arabic
    (0xAD, 0xAD), (0x61C, 0x61C), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
)  # fmt: skip
_REPLACED: dict[int, str | None] = {
    **{ord(c): to for c, to in zip("øłđðħŧıæœþ", ("o", "l", "d", "d", "h", "t", "i", "ae", "oe", "th"), strict=True)},
    **{ord(c): "'" for c in "‘’ʼ"},
    **{ord(c): '"' for c in "“”„«»"},
    **{ord(c): "-" for c in "‐‑‒–—―−"},
    **{code: " " for code in range(0x3001) if chr(code).isspace()},
    **{code: None for first, last in _DROPPED for code in range(first, last + 1)},
}
_ONE_SPACE = bytes(ord(" ") if chr(code).isspace() and code < 128 else code for code in range(256))
_WHOLE = range(0x3131, 0x318F)  # Korean letters that stand alone, as in ㅋㅋ: decomposed they would be parts of syllables


class Folded(NamedTuple):
    """Folded texts, joined: text i is `data[offsets[i]:offsets[i + 1]]` in UTF-8, and comes from row `rows[i]`."""

    data: bytes
    offsets: Ints
    rows: Ints
    codes: Codes | Bytes
    """The characters of `data`."""
    starts: Ints | None
    """Where each character begins in `data`; None: each is one byte."""

    def characters_at(self, positions: Ints) -> Codes | Bytes:
        """The characters that the bytes at these positions belong to."""
        return self.codes[positions if self.starts is None else np.searchsorted(self.starts, positions, side="right") - 1]


def fold(text: str) -> str:
    """One text, folded."""
    codes, _ = _fold(_codes(text), np.zeros(0, np.int64))
    return codes.tobytes().decode(_UTF32)


def fold_all(texts: pl.Series) -> Iterator[Folded]:
    """The texts (null as an empty text), folded, in one or two parts: the ASCII texts, and the others."""
    joined = _joined(texts)
    if joined.data.isascii():
        yield joined
        return
    plain = (texts.str.len_bytes() == texts.str.len_chars()).fill_null(True)
    rows = np.arange(len(texts))
    ascii_only = _joined(texts.filter(plain))
    yield ascii_only._replace(rows=rows[plain.to_numpy()])
    yield _fold_others(texts.filter(~plain), rows[~plain.to_numpy()])


def _joined(texts: pl.Series) -> Folded:
    """The texts with ASCII letters in lower case."""
    raw, offsets = _buffers(pc.ascii_lower(_large_strings(texts)))
    codes = np.frombuffer(raw, np.uint8)
    if raw.isascii() and _has_odd_spaces(codes):
        codes, offsets = _collapse(np.frombuffer(raw.translate(_ONE_SPACE), np.uint8), offsets)
        raw = codes.tobytes()
    return Folded(raw, offsets, np.arange(len(texts)), codes, None)


def _large_strings(texts: pl.Series) -> pa.LargeStringArray:
    return texts.to_arrow(compat_level=pl.CompatLevel.oldest())


def _buffers(array: pa.LargeStringArray) -> tuple[bytes, Ints]:
    _, offsets, data = array.buffers()
    return data.to_pybytes() if data else b"", np.frombuffer(offsets, np.int64)[: len(array) + 1]


def _has_odd_spaces(codes: Bytes) -> bool:
    space = codes == _SPACE
    return bool(codes.size) and bool(codes.min() < _SPACE or (space[1:] & space[:-1]).any())


def _fold_others(texts: pl.Series, rows: Ints) -> Folded:
    raw, _ = _buffers(_large_strings(texts))
    codes, ends = _fold(_codes(raw.decode()), np.cumsum(texts.str.len_chars().to_numpy(), dtype=np.int64))
    starts = _from_zero(_utf8_width(codes))
    offsets = starts[np.concatenate([[0], ends])]
    return Folded(codes.tobytes().decode(_UTF32).encode(), offsets, rows, codes, starts)


def _from_zero(counts: npt.NDArray[Any]) -> Ints:
    """The start of each part, and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode(_UTF32), np.uint32)


def _utf8_width(codes: Codes) -> Bytes:
    return 1 + (codes >= 0x80).view(np.uint8) + (codes >= 0x800).view(np.uint8) + (codes >= 0x10000).view(np.uint8)


# --- by the table ---------------------------------------------------------------------------------------------------
class FoldTable(NamedTuple):
    """Character c becomes `lengths[c]` characters, the n-th of which is `characters[n, c]`."""

    characters: Codes
    lengths: Bytes


@cache
def table() -> FoldTable:
    """Built once a process, from Python's own Unicode data, in half a second."""
    characters, lengths = np.zeros((WIDTH, SIZE), np.uint32), np.ones(SIZE, np.uint8)
    characters[0] = np.arange(SIZE)
    for code in range(SIZE):
        folded = _fold_one(code)
        if folded != chr(code) and len(folded) <= WIDTH:
            lengths[code] = len(folded)
            for index, character in enumerate(folded):
                characters[index, code] = ord(character)
    return FoldTable(characters, lengths)


def _fold_one(code: int) -> str:
    letter = chr(code)
    if code in _WHOLE or 0xD800 <= code < 0xE000:
        return letter
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", letter).casefold())
    return folded.translate(_REPLACED)


def _fold(codes: Codes, ends: Ints) -> tuple[Codes, Ints]:
    """Folds joined texts that end at `ends`; returns the characters, and the new ends."""
    how, index = table(), np.minimum(codes, SIZE - 1).astype(np.intp)
    folded, lengths = how.characters[0].take(index), how.lengths.take(index)
    if (lengths != 1).any():
        folded, starts = np.repeat(folded, lengths), _from_zero(lengths)
        for nth in range(1, int(lengths.max())):
            longer = np.flatnonzero(lengths > nth)
            folded[starts[longer] + nth] = how.characters[nth].take(index[longer])
        ends = starts[ends]
    return _collapse(folded, ends)


def _collapse(codes: Kind, ends: Ints) -> tuple[Kind, Ints]:
    """Collapses each run of spaces to one, also across texts: no term begins or ends with a space."""
    space = codes == _SPACE
    if not (space[1:] & space[:-1]).any():
        return codes, ends
    kept = np.concatenate([[True], ~(space[1:] & space[:-1])])
    return codes[kept], _from_zero(kept)[ends]
