"""Mentions: which tracked brands an event is about, and which events the brands wrote themselves.

A handle counts in the event's `mentions` and in its text, a keyword in its text; brands.py describes a brand, matching.py the
matching. `brands` becomes the sorted union of the matches and the source's own brands; `brands_given` keeps the source's own,
so that `earshot rematch` can distinguish them later. An event whose author is one of a brand's support accounts is outbound,
whatever the source says.

The words of rules in alerts.yaml are terms of the same automaton: a second pass over the texts would cost more than all of
alerting may.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline.batch import EventBatch
from pipeline.processors.mentions.brands import Brand, Brands
from pipeline.processors.mentions.folding import Ints
from pipeline.processors.mentions.links import domain_forms
from pipeline.processors.mentions.matching import NOTHING, Matcher, Matches
from pipeline.processors.mentions.terms import WORD, Domain, Form, Term, Use, term_text
from pipeline.processors.mentions.terms import words as spellings
from schemas import events

BRANDS = pl.List(pl.String)
WORDS = "crisis_words"
NO_LINKS = pl.Series(events.LINKED.column, [None], BRANDS)


class Mentions:
    """The step. Sets `brands` (List(String), never null), `brands_given`, `brands_linked`, `direction`, WORDS; keeps every row.

    WORDS (List(String)) are those of `words`, folded as in `term_text`, that the record's text holds; it is not a column of
    interactions. Restart: nothing to restore. `use` and `look_for` apply to the next batch.
    """

    name = "mentions"

    def __init__(self, brands: Brands, words: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._matching = Matching(brands.brands, words)

    def use(self, brands: Brands) -> None:
        """Looks for these brands from the next batch on. From any thread."""
        with self._lock:
            self._matching = Matching(brands.brands, self._matching.words)

    def look_for(self, words: Sequence[str]) -> None:
        """Looks for these words from the next batch on. From any thread."""
        with self._lock:
            self._matching = Matching(self._matching.tracked, words)

    def words_in(self, texts: pl.Series) -> pl.Series:
        """Column WORDS of texts outside a batch. From any thread."""
        return self._matching.words_in(texts)

    def process(self, batch: EventBatch) -> EventBatch:
        matching, frame = self._matching, batch.events
        given = frame.get_column("brands").alias(events.GIVEN.column)
        batch.events = frame.with_columns(*matching.columns(frame), given, *matching.direction(frame))
        return batch


class Matching:
    """Matches events against these brands of brands.yaml; immutable."""

    def __init__(self, brands: Sequence[Brand], words: Sequence[str] = ()) -> None:
        self.tracked, self.words = brands, words
        self._names = sorted(brand.name for brand in brands)
        # To the matcher a word is one more brand, with a number above the others.
        as_brands = [term for number, word in enumerate(words, len(brands)) for term in spellings(word, Use.KEYWORD, number)]
        by_name = sorted(brands, key=lambda brand: brand.name)
        self._matcher = Matcher([*_terms(by_name), *as_brands], _domains(by_name))
        self._outbound = _support(brands)

    def brands(self, events: pl.DataFrame) -> pl.Series:
        """Column `brands` of the events: the matches in `text` and `mentions`, links, and the brands in `brands`."""
        return self.columns(events)[0]

    def columns(self, events: pl.DataFrame) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Columns `brands`, `brands_linked` and WORDS of the events."""
        platforms = events.get_column("platform") if "platform" in events.columns else None
        matches, linked = self._matcher.in_texts(events.get_column("text"), platforms)
        of_brands = matches.brands < len(self._names)
        words = self._words(events.height, Matches(matches.texts[~of_brands], matches.brands[~of_brands]))
        named = Matches(matches.texts[of_brands], matches.brands[of_brands])
        if not linked.texts.size:
            return self._brands(events, named), NO_LINKS.new_from_index(0, events.height), words
        brands = self._brands(events, Matches(*map(np.concatenate, zip(named, linked, strict=True))))
        return brands, brands.list.set_difference(self._brands(events, named)).list.sort().alias(NO_LINKS.name), words

    def words_in(self, texts: pl.Series) -> pl.Series:
        """Column WORDS of texts."""
        matches = self._matcher.in_texts(texts).named
        of_words = matches.brands >= len(self._names)
        return self._words(len(texts), Matches(matches.texts[of_words], matches.brands[of_words]))

    def _words(self, height: int, matches: Matches) -> pl.Series:
        return _lists(height, matches.texts, matches.brands - len(self._names), list(self.words)).alias(WORDS)

    def _brands(self, events: pl.DataFrame, in_texts: Matches) -> pl.Series:
        mentioned = self._mentioned(events.get_column("mentions"))
        rows, brands = np.concatenate([in_texts.texts, mentioned.texts]), np.concatenate([in_texts.brands, mentioned.brands])
        given = events.get_column("brands")
        if given.null_count() == len(given):
            return _lists(len(given), rows, brands, self._names)
        more = pl.DataFrame({"row": np.arange(len(given)), "name": given}).explode("name")
        more = more.filter(pl.col("name").fill_null("") != "")
        names = sorted({*self._names, *more.get_column("name").unique()})
        number = {name: index for index, name in enumerate(names)}
        ours = np.array([number[name] for name in self._names], np.int64)[brands]
        theirs = more.get_column("name").replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        rows = np.concatenate([rows, more.get_column("row").to_numpy()])
        return _lists(len(given), rows, np.concatenate([ours, theirs]), names)

    def _mentioned(self, mentions: pl.Series) -> Matches:
        if mentions.null_count() == len(mentions):
            return NOTHING
        lengths = mentions.list.len().fill_null(0).to_numpy()
        matches = self._matcher.among_handles(mentions.filter(pl.Series(lengths > 0)).explode())
        return matches._replace(texts=np.repeat(np.arange(len(lengths)), lengths)[matches.texts])

    def direction(self, events: pl.DataFrame) -> list[pl.Expr]:
        """The expression that sets column `direction`; none without support accounts."""
        if not self._outbound:
            return []
        return [pl.when(pl.any_horizontal(self._outbound)).then(pl.lit("outbound")).otherwise("direction").alias("direction")]


def _terms(brands: list[Brand]) -> list[Term]:
    handles = [
        Term(term_text("@" + handle), Use.HANDLE, n, Form.WHOLE) for n, brand in enumerate(brands) for handle in brand.handles
    ]
    keywords = [
        term
        for n, brand in enumerate(brands)
        for word in (*brand.keywords, *brand.phrases)
        for term in spellings(word, Use.KEYWORD, n, _forms(brand))
    ]
    excluded = [(word, n) for n, brand in enumerate(brands) for word in brand.exclude]
    matches = Matcher(keywords).in_texts(pl.Series([term_text(word) for word, _ in excluded], dtype=pl.String)).named
    holding = set(zip(matches.texts.tolist(), matches.brands.tolist(), strict=True))
    exclusions = [
        term
        for index, (word, n) in enumerate(excluded)
        for term in spellings(word, Use.EXCLUDED_AROUND if (index, n) in holding else Use.EXCLUDED, n, _forms(brands[n]))
    ]
    return [*handles, *keywords, *exclusions]


def _forms(brand: Brand) -> Form:
    return (WORD if brand.hashtags else Form.WHOLE) | (Form.PLURAL if brand.plurals else Form(0))


def _domains(brands: list[Brand]) -> list[Domain]:
    return [Domain(form, n) for n, brand in enumerate(brands) for domain in brand.domains for form in domain_forms(domain)]


def _support(brands: Sequence[Brand]) -> list[pl.Expr]:
    """An expression per platform: whether the event's author is a support account there."""
    accounts = {account for brand in brands for account in brand.support}
    handle = pl.col("author_handle").str.strip_prefix("@").str.to_lowercase()
    return [
        (pl.col("platform") == platform)
        & (
            pl.col("author_id").is_in([a.id for a in accounts if a.platform == platform and a.id]).fill_null(False)
            | handle.is_in([a.handle.lower() for a in accounts if a.platform == platform and a.handle]).fill_null(False)
        )
        for platform in sorted({account.platform for account in accounts})
    ]


def _lists(height: int, texts: Ints, brands: Ints, names: list[str]) -> pl.Series:
    """A list of names for each of `height` rows, sorted, each once."""
    rows, which = np.divmod(np.unique(texts * len(names) + brands), max(len(names), 1))
    starts = np.searchsorted(rows, np.arange(height + 1))
    values = pa.array(names, pa.large_string()).take(pa.array(which))
    lists = pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(starts), values))
    assert isinstance(lists, pl.Series)
    return lists.alias("brands")
