"""Matches the brands' terms against many texts at once.

One Aho-Corasick automaton over all terms runs over all texts of a batch, joined; its hits are checked for boundaries and
exclusions as columns. A term matches only as a whole: no letter, digit or underscore right before or after it, unless one of
the two neighbours is of a script without spaces (Chinese, Japanese, Thai, Lao, Khmer, Myanmar ...): "ベルリン" matches in the
middle of a sentence, "air" in "日本air", but not in "hair" or "airу". Korean writes particles right behind a word: a Korean
term needs a boundary at its front only.

Cost: one pass over the texts, whatever the number of terms; the rest grows with the number of hits.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.mentions.folding import SIZE, Bytes, Folded, Ints, fold, fold_all

Mask = npt.NDArray[np.bool_]


class Use(IntEnum):
    """The role of a term for a brand."""

    HANDLE = 0
    KEYWORD = 1
    EXCLUDED = 2
    """In a text with this term no keyword of the brand counts."""
    EXCLUDED_AROUND = 3
    """It contains a keyword of the brand: keywords inside it do not count."""


class Term(NamedTuple):
    """A folded term, its role, and the number of its brand."""

    text: str
    use: Use
    brand: int


class Matches(NamedTuple):
    """Text `texts[i]` mentions brand `brands[i]`; a pair may occur twice."""

    texts: Ints
    brands: Ints


class _Hits(NamedTuple):
    texts: Ints
    starts: Ints
    ends: Ints
    first: Ints
    """Where the hit's text starts in the joined texts."""
    last: Ints
    terms: Ints

    def where(self, mask: Mask | Ints) -> _Hits:
        return _Hits(*(column[mask] for column in self))


NONE = np.zeros(0, np.int64)
_SLICE_BYTES = 4 << 20
"""Folding needs up to forty times the memory of its texts for a moment, and few of its calls let other threads run."""


class Matcher:
    """Matches terms; immutable and thread-safe. Building one with 5,000 terms takes 0.1 s."""

    def __init__(self, terms: list[Term]) -> None:
        by_text: dict[str, list[Term]] = {}
        for term in sorted(set(terms)):
            by_text.setdefault(term.text, []).append(term)
        terms = [term for same in by_text.values() for term in same]
        self._count = np.array([len(same) for same in by_text.values()], np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._use = np.array([term.use for term in terms], np.int64)
        self._brand = np.array([term.brand for term in terms], np.int64)
        self._front = np.array([_edge(text[0]) for text in by_text], np.int64)
        self._back = np.array([_edge(text[-1]) for text in by_text], np.int64)
        self._handles = bool((self._use == Use.HANDLE).any())
        self._automaton = ahocorasick_rs.BytesAhoCorasick(
            [text.encode() for text in by_text], implementation=ahocorasick_rs.Implementation.DFA
        )

    def in_texts(self, texts: pl.Series) -> Matches:
        """The brands whose handles or keywords are in the texts, without excluded ones."""
        if not self._count.size or texts.null_count() == len(texts):
            return Matches(NONE, NONE)
        starts = _slices(texts)
        slices = [self._in_slice(texts[start:end], start) for start, end in pairwise((*starts, len(texts)))]
        return Matches(*(np.concatenate(columns) for columns in zip(*slices, strict=True)))

    def _in_slice(self, texts: pl.Series, first: int) -> Matches:
        parts = [self._hits(part) for part in fold_all(texts)]
        hits = _Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        hits = self._less_excluded(hits)
        return Matches(hits.texts + first, self._brand[hits.terms])

    def among_handles(self, names: pl.Series) -> Matches:
        """The brands whose handle, with or without its @, is the whole of a text."""
        if not self._handles or names.null_count() == len(names):
            return Matches(NONE, NONE)
        parts = [self._hits(part) for part in fold_all("@" + names.str.strip_prefix("@"))]
        hits = _Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        hits = hits.where((hits.starts == hits.first) & (hits.ends == hits.last) & (self._use[hits.terms] == Use.HANDLE))
        return Matches(hits.texts, self._brand[hits.terms])

    def _hits(self, texts: Folded) -> _Hits:
        indexes = self._automaton.find_matches_as_indexes(texts.data, overlapping=True)
        patterns, starts, ends = np.array(indexes, np.int64).reshape(-1, 3).T
        rows = np.searchsorted(texts.offsets, starts, side="right") - 1
        hits = _Hits(rows, starts, ends, texts.offsets[rows], texts.offsets[rows + 1], patterns)
        # The texts are joined without a separator: a hit across two of them does not count.
        hits = hits.where((ends <= hits.last) & self._is_whole(texts, hits))
        counts = self._count[hits.terms]
        terms = np.repeat(self._first[hits.terms], counts) + _ranks(counts)
        hits = hits.where(np.repeat(np.arange(len(counts)), counts))
        return hits._replace(texts=texts.rows[hits.texts], terms=terms)

    def _is_whole(self, texts: Folded, hits: _Hits) -> Mask:
        if not hits.starts.size:
            return np.zeros(0, np.bool_)
        kinds = kinds_of_letters()
        before = kinds[texts.characters_at(hits.starts - 1)]
        after = kinds[texts.characters_at(np.minimum(hits.ends, len(texts.data) - 1))]
        inside_front = (hits.starts > hits.first) & _JOINS_BEFORE[self._front[hits.terms], before]
        inside_back = (hits.ends < hits.last) & _JOINS_AFTER[self._back[hits.terms], after]
        return ~(inside_front | inside_back)

    def _less_excluded(self, hits: _Hits) -> _Hits:
        use = self._use[hits.terms]
        if not (use >= Use.EXCLUDED).any():
            return hits
        everywhere = use == Use.EXCLUDED
        frame = pl.DataFrame(
            {
                "hit": np.arange(len(use)),
                "text": hits.texts,
                "brand": self._brand[hits.terms],
                "start": np.where(everywhere, hits.first, hits.starts),
                "end": np.where(everywhere, hits.last, hits.ends),
            }
        )
        keywords, exclusions = frame.filter(use == Use.KEYWORD), frame.filter(use >= Use.EXCLUDED)
        pairs = keywords.join(exclusions, on=["text", "brand"], suffix="_excluded")
        covered = pairs.filter((pl.col("start_excluded") <= pl.col("start")) & (pl.col("end") <= pl.col("end_excluded")))
        stays = use < Use.EXCLUDED
        stays[covered.get_column("hit").to_numpy()] = False
        return hits.where(stays)


def term_text(text: str) -> str:
    """A term of brands.yaml, folded for matching; empty if nothing of it is left."""
    return fold(text).strip()


def _slices(texts: pl.Series) -> list[int]:
    """Where slices of about _SLICE_BYTES begin; a text is never cut."""
    slices = texts.str.len_bytes().fill_null(0).cast(pl.Int64).cum_sum().to_numpy() // _SLICE_BYTES
    return [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist()]


def _ranks(counts: Ints) -> Ints:
    """0, 1, 2 ... within each group."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


# --- boundaries -----------------------------------------------------------------------------------------------------
class _Letter(IntEnum):
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


def _join_table(joins: dict[_Letter, set[_Letter]]) -> npt.NDArray[np.bool_]:
    """[edge of the term, character beside it] -> whether the two belong together, so that the term is only a part of a word."""
    return np.array([[beside in joins.get(edge, set()) for beside in _Letter] for edge in _Letter])


_RESTS = {_Letter.HANGUL_REST, _Letter.MARK, _Letter.OPEN_MARK}
_JOINS_BEFORE = _join_table({_Letter.WORD: {_Letter.WORD, _Letter.MARK}, _Letter.HANGUL: {_Letter.HANGUL, _Letter.HANGUL_REST}})
_JOINS_AFTER = _join_table(
    {_Letter.NONE: _RESTS, _Letter.HANGUL: _RESTS, _Letter.WORD: {_Letter.WORD, _Letter.MARK, _Letter.OPEN_MARK}}
)


@cache
def kinds_of_letters() -> Bytes:
    """The `_Letter` of each character. Built once a process."""
    kinds = np.array([_plain_kind(chr(code)) for code in range(SIZE)], np.uint8)
    for ranges, letter, mark in (
        (_UNSPACED, _Letter.NONE, _Letter.OPEN_MARK),
        (_HANGUL, _Letter.HANGUL, _Letter.HANGUL),
        (_HANGUL_REST, _Letter.HANGUL_REST, _Letter.HANGUL_REST),
    ):
        for first, last in ranges:
            part = kinds[first : last + 1]
            part[part == _Letter.WORD] = letter
            part[part == _Letter.MARK] = mark
    return kinds


def _plain_kind(character: str) -> _Letter:
    if character == "_" or character.isalnum():
        return _Letter.WORD
    return _Letter.MARK if unicodedata.category(character)[0] == "M" else _Letter.NONE


def _edge(character: str) -> _Letter:
    """The kind of a term's first or last character. An @, # or + joins a letter beside it: "me@acme.org" has no @acme."""
    kind = _Letter(int(kinds_of_letters()[min(ord(character), SIZE - 1)]))
    if kind == _Letter.NONE and unicodedata.category(character) != "So" and not character.isalnum():
        return _Letter.WORD
    return {_Letter.HANGUL_REST: _Letter.HANGUL, _Letter.MARK: _Letter.WORD, _Letter.OPEN_MARK: _Letter.NONE}.get(kind, kind)
