"""Finds terms in folded texts, with the form in which each is there.

One Aho-Corasick automaton over all terms runs over all texts, joined; its hits are checked for boundaries as columns. The
automaton also looks for signs, such as the beginnings of markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import ahocorasick_rs
import numpy as np
import polars as pl

from pipeline.processors.mentions import affixes, handles, hashtags
from pipeline.processors.mentions.folding import Folded, Ints, Mask, fold_all
from pipeline.processors.mentions.letters import JOINS_AFTER, JOINS_BEFORE, edge, kinds_of_letters
from pipeline.processors.mentions.spans import Spans
from pipeline.processors.mentions.terms import Form, Term

NONE = np.zeros(0, np.int64)
MOST_DFA = 1_000_000
"""Bytes of terms of which a DFA is made, which takes 150 for each. Of more a contiguous NFA: 20 for each, and 0.6 CPU s more a
million texts."""


class Rows(NamedTuple):
    """Texts to search, and the platform of each, for the ends of handles."""

    texts: pl.Series
    platforms: pl.Series | None = None

    def at(self, rows: Ints) -> Rows:
        """These rows only."""
        return Rows(self.texts.gather(rows), None if self.platforms is None else self.platforms.gather(rows))


class Hits(NamedTuple):
    """Terms in texts: `terms[i]`, by its number, is in text `texts[i]`, in one of the `forms[i]`; other positions are bytes."""

    texts: Ints
    starts: Ints
    ends: Ints
    first: Ints
    """Where the hit's text starts in the joined texts."""
    last: Ints
    terms: Ints
    forms: Ints

    def where(self, mask: Mask | Ints) -> Hits:
        """These hits only."""
        return Hits(*(column[mask] for column in self))


class Found(NamedTuple):
    """The hits in texts, and the signs: sign `signs[i]`, by its number, is in text `signed[i]`."""

    hits: Hits
    signed: Ints
    signs: Ints


def concatenated(parts: Sequence[Hits]) -> Hits:
    """All of the hits."""
    return Hits(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _implementation(patterns: Sequence[bytes]) -> ahocorasick_rs.Implementation:
    is_small = sum(map(len, patterns)) <= MOST_DFA
    return ahocorasick_rs.Implementation.DFA if is_small else ahocorasick_rs.Implementation.ContiguousNFA


class Search:
    """Searches for these terms and signs; immutable and thread-safe. A term's number is its place in `terms`."""

    def __init__(self, terms: Sequence[Term], signs: Sequence[str]) -> None:
        by_text: dict[str, list[int]] = {}
        for number, term in enumerate(terms):
            by_text.setdefault(term.text, []).append(number)
        self._count = np.array([len(same) for same in by_text.values()], np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._terms = np.array([number for same in by_text.values() for number in same], np.int64)
        self._forms = np.array([term.forms for term in terms], np.int64)
        self._front = np.array([edge(text[0]) for text in by_text], np.int64)
        self._back = np.array([edge(text[-1]) for text in by_text], np.int64)
        self._is_handle = np.array([text.startswith("@") for text in by_text], np.bool_)
        self._plural = np.array([any(Form.PLURAL in terms[n].forms for n in same) for same in by_text.values()], np.bool_)
        self._joined = np.array([any(terms[n].forms == Form.TAG for n in same) for same in by_text.values()], np.bool_)
        patterns = [text.encode() for text in (*by_text, *signs)]
        self._automaton = ahocorasick_rs.BytesAhoCorasick(patterns, implementation=_implementation(patterns))

    def find(self, rows: Rows) -> Found:
        """The terms and signs in the texts."""
        parts = [self._find(part, rows) for part in fold_all(rows.texts)]
        if len(parts) == 1:
            return parts[0]
        signed, signs = (np.concatenate(columns) for columns in zip(*((p.signed, p.signs) for p in parts), strict=True))
        return Found(concatenated([part.hits for part in parts]), signed, signs)

    def _find(self, texts: Folded, rows: Rows) -> Found:
        indexes = self._automaton.find_matches_as_indexes(texts.data, overlapping=True)
        numbers = np.fromiter(chain.from_iterable(indexes), np.int64, 3 * len(indexes))
        patterns, starts, ends = numbers.reshape(-1, 3).T.copy()
        which = np.searchsorted(texts.offsets, starts, side="right") - 1
        hits = Hits(which, starts, ends, texts.offsets[which], texts.offsets[which + 1], patterns, np.zeros_like(starts))
        # The texts are joined without a separator: a hit across two of them does not count.
        hits, count = hits.where(ends <= hits.last), len(self._count)
        signed, signs, terms = NONE, NONE, hits.terms < count
        if not terms.all():
            signed, signs = texts.rows[hits.texts[~terms]], hits.terms[~terms] - count
            hits = hits.where(terms)
        return Found(self._as_terms(self._in_forms(texts, hits, rows)), signed, signs)

    def _as_terms(self, hits: Hits) -> Hits:
        """The hits of each term with the hit's text, in the forms in which it counts."""
        counts = self._count[hits.terms]
        if counts.size and counts.max() > 1:
            hits, firsts = hits.where(np.repeat(np.arange(len(counts)), counts)), np.repeat(self._first[hits.terms], counts)
            hits = hits._replace(terms=self._terms[firsts + _ranks(counts)])
        else:
            hits = hits._replace(terms=self._terms[self._first[hits.terms]])
        counted = (self._forms[hits.terms] & hits.forms) > 0
        return hits if counted.all() else hits.where(counted)

    def _in_forms(self, texts: Folded, hits: Hits, rows: Rows) -> Hits:
        """The hits that are words, with their forms; `texts` by row from here on."""
        if not hits.starts.size:
            return hits
        kinds = kinds_of_letters()
        heads = texts.characters_at(hits.starts - 1)
        tails = texts.characters_at(np.minimum(hits.ends, len(texts.data) - 1))
        in_front = (hits.starts > hits.first) & JOINS_BEFORE[self._front[hits.terms], kinds[heads]]
        behind = (hits.ends < hits.last) & JOINS_AFTER[self._back[hits.terms], kinds[tails]]
        forms = np.where(in_front | behind, 0, int(Form.WHOLE))
        part = np.flatnonzero(forms == 0)
        if part.size:
            terms, which = hits.terms[part], texts.rows[hits.texts[part]]
            touched = affixes.Touched(
                _spans(texts, hits.where(part)),
                in_front[part],
                behind[part],
                self._is_handle[terms],
                self._plural[terms],
                which,
            )
            whole, plurals = affixes.are_words(texts, touched, rows.texts)
            forms[part] = np.where(whole, int(Form.WHOLE), np.where(plurals, int(Form.PLURAL), 0))
        wanted = (forms == 0) | self._joined[hits.terms]
        if wanted.any():
            joined = hashtags.are_words(texts, _spans(texts, hits), wanted, behind)
            forms[joined] |= int(Form.TAG)
        odd = np.flatnonzero((handles.GOES_ON[heads] | handles.GOES_ON[tails]) & (forms > 0))
        if odd.size:
            platforms = None if rows.platforms is None else rows.platforms.gather(texts.rows[hits.texts[odd]])
            handle = self._is_handle[hits.terms[odd]]
            other = handles.is_other_account(texts, _spans(texts, hits.where(odd)), handle, platforms)
            forms[odd[other]] = 0
        hits = hits._replace(forms=forms, texts=texts.rows[hits.texts])
        return hits if forms.all() else hits.where(forms > 0)


def _spans(texts: Folded, hits: Hits) -> Spans:
    return Spans(*(texts.numbers(column) for column in (hits.starts, hits.ends, hits.first, hits.last)))


def _ranks(counts: Ints) -> Ints:
    """0, 1, 2 ... within each group."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
