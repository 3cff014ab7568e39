"""Brands in texts as people write them, in twenty scripts and platforms: precision and recall."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Matching
from tests.processors.mentions import texts_seen, texts_unseen
from tests.processors.mentions.texts_brands import ENTRIES, WORDS

Texts = list[tuple[str, str, tuple[str, ...]]]


def found(texts: Texts) -> list[set[str]]:
    frame = pl.DataFrame({"platform": [p for p, _, _ in texts], "text": [t for _, t, _ in texts]}).with_columns(
        pl.lit(None, pl.List(pl.String)).alias(name) for name in ("mentions", "brands")
    )
    return [set(names) for names in Matching(Brands.model_validate({"brands": ENTRIES}).brands, WORDS).brands(frame)]


@pytest.mark.parametrize("texts", [texts_seen.TEXTS, texts_unseen.TEXTS], ids=["seen", "unseen"])
def test_precision_and_recall(texts: Texts) -> None:
    pairs = [(set(right), names) for (_, _, right), names in zip(texts, found(texts), strict=True)]
    both, there, expected = (
        sum(map(len, sets)) for sets in ([a & b for a, b in pairs], [b for _, b in pairs], [a for a, _ in pairs])
    )
    wrong = [(text, names) for (_, text, right), names in zip(texts, found(texts), strict=True) if set(right) != names]
    assert len(texts) == 150
    assert both / there >= 0.98, wrong
    assert both / expected >= 0.98, wrong
