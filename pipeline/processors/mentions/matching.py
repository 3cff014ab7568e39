"""Matches the brands' terms against many texts at once.

A term matches only as a whole: no letter, digit or underscore right before or after it, unless one of the two neighbours is of
a script without spaces (Chinese, Japanese, Thai, Lao, Khmer, Myanmar ...): "ベルリン" matches in the middle of a sentence,
"air" in "日本air", but not in "hair" or "airу". Korean writes particles right behind a word: a Korean term needs a boundary at
its front only. affixes.py and hashtags.py find the words that are written together, handles.py the accounts that are others.

Texts are matched as a reader sees them (markup.py). Only those with a beginning of markup, of an entity or, beside a term, of
an address are prepared and searched again; all others cost nothing more.

Cost: one pass over the texts, whatever the number of terms; the rest grows with the number of hits.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.processors.mentions.folding import Ints, fold
from pipeline.processors.mentions.links import links
from pipeline.processors.mentions.markup import CHANGED, REMOVED, prepared
from pipeline.processors.mentions.search import NONE, Hits, Rows, Search, concatenated
from pipeline.processors.mentions.terms import Domain, Term, Use

_MARKUP = len(CHANGED) + len(REMOVED)
_SLICE_BYTES = 4 << 20
"""Folding needs up to forty times the memory of its texts for a moment, and few of its calls let other threads run."""


class Matches(NamedTuple):
    """Text `texts[i]` mentions brand `brands[i]`; a pair may occur twice."""

    texts: Ints
    brands: Ints


NOTHING = Matches(NONE, NONE)


class Mentioned(NamedTuple):
    """The brands whose terms are in texts, and those that a link to their domain mentions."""

    named: Matches
    linked: Matches


class Matcher:
    """Matches terms; immutable and thread-safe. Building one with 5,000 terms takes 0.1 s."""

    def __init__(self, terms: list[Term], domains: list[Domain] | None = None) -> None:
        terms = sorted(set(terms))
        self._use = np.array([term.use for term in terms], np.int64)
        self._brand = np.array([term.brand for term in terms], np.int64)
        self._domains = pl.DataFrame(domains or [], {"domain": pl.String, "brand": pl.Int64}, orient="row")
        of_domains = sorted({fold(domain.text) for domain in domains or []})
        self._search = Search(terms, [*CHANGED, *REMOVED, *of_domains])

    def in_texts(self, texts: pl.Series, platforms: pl.Series | None = None) -> Mentioned:
        """The brands whose handles or keywords are in the texts, without excluded ones, and the linked ones. `platforms`: that
        of each text."""
        if not (self._use.size or self._domains.height) or texts.null_count() == len(texts):
            return Mentioned(NOTHING, NOTHING)
        bounds = pairwise((*_slices(texts), len(texts)))
        parts = [
            self._in_slice(Rows(texts[start:end], None if platforms is None else platforms[start:end]), start)
            for start, end in bounds
        ]
        return Mentioned(*(Matches(*map(np.concatenate, zip(*matches, strict=True))) for matches in zip(*parts, strict=True)))

    def _in_slice(self, rows: Rows, first: int) -> Mentioned:
        hits, linked = self._as_read(rows)
        hits = self._less_excluded(hits)
        return Mentioned(Matches(hits.texts + first, self._brand[hits.terms]), Matches(linked.texts + first, linked.brands))

    def among_handles(self, names: pl.Series) -> Matches:
        """The brands whose handle, with or without its @, is the whole of a text."""
        if not (self._use == Use.HANDLE).any() or names.null_count() == len(names):
            return NOTHING
        hits, _ = self._as_read(Rows("@" + names.str.strip_prefix("@")))
        hits = hits.where((hits.starts == hits.first) & (hits.ends == hits.last) & (self._use[hits.terms] == Use.HANDLE))
        return Matches(hits.texts, self._brand[hits.terms])

    def _as_read(self, rows: Rows) -> tuple[Hits, Matches]:
        """The hits in the texts as a reader sees them, and the brands that they link to."""
        found = self._search.find(rows)
        if not found.signs.size:
            return found.hits, NOTHING
        prepare, removable, named = (np.zeros(len(rows.texts), np.bool_) for _ in range(3))
        prepare[found.signed[found.signs < len(CHANGED)]] = True
        removable[found.signed[(found.signs >= len(CHANGED)) & (found.signs < _MARKUP)]] = True
        named[found.hits.texts] = True
        prepare |= removable & named
        marked = np.flatnonzero(prepare)
        linking = found.signed[found.signs >= _MARKUP]
        hits = found.hits
        if marked.size:
            again = self._search.find(rows.at(marked)._replace(texts=prepared(rows.texts.gather(marked))))
            hits = concatenated([hits.where(~prepare[hits.texts]), again.hits._replace(texts=marked[again.hits.texts])])
            linking = np.concatenate([linking, marked[again.signed[again.signs >= _MARKUP]]])
        return hits, self._linked(rows, np.unique(linking))

    def _linked(self, rows: Rows, linking: Ints) -> Matches:
        if not linking.size:
            return NOTHING
        found = links(rows.texts.gather(linking), linking, self._domains)
        return Matches(found.get_column("text").to_numpy(), found.get_column("brand").to_numpy())

    def _less_excluded(self, hits: Hits) -> Hits:
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


def _slices(texts: pl.Series) -> list[int]:
    """Where slices of about _SLICE_BYTES begin; a text is never cut."""
    slices = texts.str.len_bytes().fill_null(0).cast(pl.Int64).cum_sum().to_numpy() // _SLICE_BYTES
    return [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist()]
