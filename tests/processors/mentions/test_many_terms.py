"""Many long terms: another automaton, which needs less memory and finds the same."""

from __future__ import annotations

import ahocorasick_rs
import numpy as np
import polars as pl
import pytest

from pipeline.processors.mentions import search
from pipeline.processors.mentions.matching import Matcher
from pipeline.processors.mentions.terms import Use, words

TEXTS = pl.Series(["north wind air", "#NorthWindAir was late", "#north_wind_air", "winds", "Südwind-Bahn", "a north wind", ""])


def matcher() -> Matcher:
    spelt = ("north wind air", "wind", "südwind bahn", "bahn")
    return Matcher([term for number, word in enumerate(spelt) for term in words(word, Use.KEYWORD, number)])


def test_terms_of_many_bytes_make_no_dfa(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[ahocorasick_rs.Implementation]()
    build = ahocorasick_rs.BytesAhoCorasick

    def noted(patterns: list[bytes], implementation: ahocorasick_rs.Implementation) -> ahocorasick_rs.BytesAhoCorasick:
        made.append(implementation)
        return build(patterns, implementation=implementation)

    monkeypatch.setattr(ahocorasick_rs, "BytesAhoCorasick", noted)
    small = matcher().in_texts(TEXTS).named
    monkeypatch.setattr(search, "MOST_DFA", 10)
    large = matcher().in_texts(TEXTS).named
    assert made == [ahocorasick_rs.Implementation.DFA, ahocorasick_rs.Implementation.ContiguousNFA]
    assert small.texts.size
    np.testing.assert_array_equal(small.texts, large.texts)
    np.testing.assert_array_equal(small.brands, large.brands)
