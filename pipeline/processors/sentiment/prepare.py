"""Prepares texts in the form that the models were trained on.

HTML entities and `\\uXXXX` escapes are resolved, a link becomes `http`, a user name `@user` (the form of TweetEval and of most
models trained on tweets), white space is one space, and tone is in plain words (tone.py). The cache is keyed by the result: a
repost that differs in its link only is the same text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import polars as pl

from pipeline.processors.sentiment import tone

VERSION = 2
"""Of the preparation. It is a part of each model's identity, because another preparation makes other labels."""
LONGEST = 2_000
"""Characters read of a text; the models read its first 128 pieces."""
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_LINK = r"(?i)\b(?:https?://|www\.)\S+"
_USER = r"(^|[^\w@])@\w+(?:@[\w.-]*\w)?"


def prepare(texts: pl.Series) -> pl.Series:
    """The prepared texts, in the same order; a null becomes an empty text."""
    return tone.plain(clean(texts))


def clean(texts: pl.Series) -> pl.Series:
    """Prepared, but for the tone."""
    texts = texts.fill_null("").str.head(LONGEST)
    texts = _rarely(texts, r"\\u[0-9a-fA-F]{4}", _unescape)
    texts = _rarely(texts, r"&#?\w+;", html.unescape)
    name = texts.name
    return (
        texts.to_frame("text")
        .select(
            pl.col("text")
            .str.replace_all(_LINK, "http")
            .str.replace_all(_USER, "${1}@user")
            .str.replace_all(r"\s+", " ")
            .str.strip_chars()
            .alias(name)
        )
        .to_series()
    )


def _rarely(texts: pl.Series, pattern: str, change: Callable[[str], str]) -> pl.Series:
    """Applies a Python function to the few texts that match the pattern."""
    holds = texts.str.contains(pattern)
    if not holds.any():
        return texts
    changed = texts.filter(holds).map_elements(change, return_dtype=pl.String)
    return texts.scatter(holds.arg_true(), changed)


def _unescape(text: str) -> str:
    """Resolves `\\uXXXX`, pairs of surrogates too; a half of a pair becomes U+FFFD."""
    units = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
