"""Folds texts for matching, so that case, accents and spacing do not matter.

Each character is folded by itself, by a table (fold_table.py): Unicode's compatibility decomposition (NFKD) and case folding,
without the accents of Latin, Greek and Cyrillic letters, the vowel points of Hebrew and Arabic, and invisible characters (soft
hyphens, zero-width characters, variation selectors, controls). So é, É, ｅ and e are one, as are ß and ss, İ and i, ς and σ, ﾍﾞ
and ベ, ё and е, ك and ک; ø, ł, æ and the like become o, l, ae, and every apostrophe, quote and dash the plain one. ™ and ®
are spaces. A run of white space is one space. All characters above U+2FFFF become one, but the invisible ones; a character that
would become more than four stays unchanged.

ASCII texts, nearly all of them in most streams, take a separate path that costs almost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.processors.mentions.fold_table import DRESSED, SIZE, Bytes, Codes, table
from pipeline.processors.mentions.letters import Letter, kinds_of_letters

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Kind = TypeVar("Kind", Codes, Bytes)

_UTF32 = f"utf-32-{'le' if sys.byteorder == 'little' else 'be'}"
_SPACE = 32
_KEYCAP, _EMOJI = 0x20E3, 0xFE0F
_TAGS, _TAGS_END, _INVISIBLE = 0xE0000, 0xE1000, 0x200B
_ONE_SPACE = bytes(ord(" ") if chr(code).isspace() and code < 128 else code for code in range(256))


class Folded(NamedTuple):
    """Folded texts, joined: text i is `data[offsets[i]:offsets[i + 1]]` in UTF-8, and comes from row `rows[i]`."""

    data: bytes
    offsets: Ints
    rows: Ints
    codes: Codes | Bytes
    """The characters of `data`."""
    starts: Ints | None
    """Where each character begins in `data`; None: each is one byte."""
    source: Codes | Bytes
    """The character before folding that each of `codes` comes from."""

    def numbers(self, positions: Ints) -> Ints:
        """The numbers of the characters that the bytes at these positions belong to; of the end: the number of characters."""
        if self.starts is None:
            return positions
        return np.searchsorted(self.starts, positions, side="right") - 1

    def characters_at(self, positions: Ints) -> Codes | Bytes:
        """The characters that the bytes at these positions belong to."""
        return self.codes[self.numbers(positions)]


def fold(text: str) -> str:
    """One text, folded."""
    codes, _, _ = _fold(_codes(text), np.zeros(0, np.int64))
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
    strings = _large_strings(texts)
    raw, offsets = _buffers(pc.ascii_lower(strings))
    codes, source = np.frombuffer(raw, np.uint8), _bytes_of(strings)
    if raw.isascii() and _has_odd_spaces(codes):
        codes = np.frombuffer(raw.translate(_ONE_SPACE), np.uint8)
        if codes.min() < _SPACE:
            kept = codes >= _SPACE
            codes, source, offsets = codes[kept], source[kept], _from_zero(kept)[offsets]
        codes, source, offsets = _collapse(codes, source, offsets)
        raw = codes.tobytes()
    return Folded(raw, offsets, np.arange(len(texts)), codes, None, source)


def _large_strings(texts: pl.Series) -> pa.LargeStringArray:
    return texts.to_arrow(compat_level=pl.CompatLevel.oldest())


def _buffers(array: pa.LargeStringArray) -> tuple[bytes, Ints]:
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[: len(array) + 1]
    return data.slice(0, int(bounds[-1])).to_pybytes() if data else b"", bounds


def _bytes_of(array: pa.LargeStringArray) -> Bytes:
    """The characters of ASCII texts, without a copy."""
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]] if data else np.zeros(0, np.uint8)


def _has_odd_spaces(codes: Bytes) -> bool:
    space = codes == _SPACE
    return bool(codes.size) and bool(codes.min() < _SPACE or (space[1:] & space[:-1]).any())


def _fold_others(texts: pl.Series, rows: Ints) -> Folded:
    raw, _ = _buffers(_large_strings(texts))
    codes, source, ends = _fold(_codes(raw.decode()), np.cumsum(texts.str.len_chars().to_numpy(), dtype=np.int64))
    starts = _from_zero(_utf8_width(codes))
    offsets = starts[np.concatenate([[0], ends])]
    return Folded(codes.tobytes().decode(_UTF32).encode(), offsets, rows, codes, starts, source)


def _from_zero(counts: npt.NDArray[Any]) -> Ints:
    """The start of each part, and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _codes(text: str) -> Codes:
    return np.frombuffer(text.encode(_UTF32), np.uint32)


def _utf8_width(codes: Codes) -> Bytes:
    return 1 + (codes >= 0x80).view(np.uint8) + (codes >= 0x800).view(np.uint8) + (codes >= 0x10000).view(np.uint8)


# --- by the table ---------------------------------------------------------------------------------------------------
def _fold(codes: Codes, ends: Ints) -> tuple[Codes, Codes, Ints]:
    """Folds joined texts that end at `ends`; returns the characters, those before folding, and the new ends."""
    codes = _without_keycaps(codes)
    how, index = table(), np.minimum(codes, SIZE - 1).astype(np.intp)
    if codes.size and codes.max() >= _TAGS:
        index[(codes >= _TAGS) & (codes < _TAGS_END)] = _INVISIBLE
    folded, lengths, source = how.characters[0].take(index), how.lengths.take(index), codes
    if (lengths != 1).any():
        if (lengths >= DRESSED).any():
            _undress(folded, lengths, ends)
        source, folded, starts = np.repeat(source, lengths), np.repeat(folded, lengths), _from_zero(lengths)
        for nth in range(1, int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > nth)
            folded[starts[longer] + nth] = how.characters[nth].take(index[longer])
        ends = starts[ends]
    return _collapse(folded, source, ends)


def _without_keycaps(codes: Codes) -> Codes:
    """The characters, with a space for each digit on a key (1️⃣): it is a symbol."""
    at = np.flatnonzero(codes == _KEYCAP)
    at = at[at > 1]
    if not at.size:
        return codes
    codes = codes.copy()
    codes[at - np.where(codes[at - 1] == _EMOJI, 2, 1)] = _SPACE
    return codes


def _undress(folded: Codes, lengths: Bytes, ends: Ints) -> None:
    """Makes letters in circles or above the line a space where they are symbols: alone, or right after a word."""
    at = np.flatnonzero(lengths >= DRESSED)
    lengths[at] -= DRESSED
    begins = np.concatenate([[True], np.diff(at) > 1]) | np.isin(at, ends)
    run = np.cumsum(begins) - 1
    first = at[begins]
    after_word = (first > 0) & ~np.isin(first, ends) & (kinds_of_letters()[folded[first - 1]] == Letter.WORD)
    symbol = (after_word | (np.bincount(run) == 1))[run]
    folded[at[symbol]], lengths[at[symbol]] = _SPACE, 1


def _collapse(codes: Kind, source: Kind, ends: Ints) -> tuple[Kind, Kind, Ints]:
    """Collapses each run of spaces to one, also across texts: no term begins or ends with a space."""
    space = codes == _SPACE
    if not (space[1:] & space[:-1]).any():
        return codes, source, ends
    kept = np.concatenate([[True], ~(space[1:] & space[:-1])])
    return codes[kept], source[kept], _from_zero(kept)[ends]
