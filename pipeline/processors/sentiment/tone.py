"""Says in plain words how a text shouts, draws and understates, because the models know plain words best.

Columns go in and come out; each rewriting reads only the texts that hold something of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from pipeline.processors.sentiment.capitalised import with_capitals
from pipeline.processors.sentiment.idioms import IDIOMS, MARKS

SHARE, FEWEST = 0.8, 4
"""A text with this share of capitals among its letters, and so many of them, shouts, if three stand together: AT&T does not."""
_BEFORE_TEXT = re.compile(r"(?:@user|http|[\W\d_])*")

_WORD = r"\p{Lu}+[\p{Ll}\p{N}]+"
_SENTENCE = rf"(#(?:\p{{Lu}}|{_WORD}|\p{{Ll}}+)(?:{_WORD}){{2}}\p{{Lu}}[\p{{L}}\p{{N}}]*)"
"""A hashtag of four words or more. Shorter ones are mostly names, and the models know them as they are."""
_CUTS = (r"([\p{Ll}\p{N}])(\p{Lu})", r"(\p{Lu})(\p{Lu}\p{Ll})")
"""Where a word ends and the next begins, by the rules of mentions/hashtags.py. No two places of one kind overlap."""
_MARK = "\x02"
_GROUP = 8

NEAREST = {
    "😡": "🤬🖕😾🙎", "😷": "🤮🤢🤒🤕🤧", "😢": "😿", "😊": "🥹🫠", "🎉": "🥳", "❤": "🤍🤎🫶🩷🩵🩶", "😱": "🤯🫣", "👎": "💩",
    "😴": "🥱", "😍": "🥰🤩😻", "😀": "😺😸", "😏": "😼", "😘": "😽", "😎": "🤠", "👊": "🤛🤜", "🌟": "⭐", "👌": "🤌",
    "😞": "🙍", "😂": "🤣",
}  # fmt: skip
"""An emoji that the models know well -> others of its tone that are rare in their training, or not among their pieces."""
_NEAREST = {other: known for known, others in NEAREST.items() for other in others}
_HAS_EMOJI = r"[\x{2600}-\x{2BFF}\x{1F300}-\x{1FAFF}]"
_LOOKS = r"[\x{1F3FB}-\x{1F3FF}\x{FE0E}\x{FE0F}]"
"""Skin tones, and whether an emoji is drawn in colour."""


def plain(texts: pl.Series) -> pl.Series:
    """Prepared texts in plain words, in the same order. Done twice it is the same as done once."""
    for change in (without_joined_hashtags, without_shouts, with_known_emoji, without_idioms):
        texts = change(texts)
    return texts


def without_joined_hashtags(texts: pl.Series) -> pl.Series:
    """`#WorstServiceIEverHad` is `#Worst Service I Ever Had`."""
    return _where(texts, texts.str.contains(_SENTENCE), _split)


def without_shouts(texts: pl.Series) -> pl.Series:
    """A text that shouts in lower case, with a capital at its start and at words that have one (capitalised.py)."""
    return _where(texts, texts.str.contains(r"\p{Lu}{3}"), _without_shouts)


def _without_shouts(texts: pl.Series) -> pl.Series:
    capitals, small = texts.str.count_matches(r"\p{Lu}"), texts.str.count_matches(r"\p{Ll}")
    small = small - 4 * texts.str.count_matches("@user|http")
    shouts = (capitals >= FEWEST) & (capitals >= SHARE * (capitals + small))
    return _where(texts, shouts, lambda some: some.map_elements(_spoken, return_dtype=pl.String))


def with_known_emoji(texts: pl.Series) -> pl.Series:
    """Emoji without skin tones, and for one that the models hardly know the nearest that they know."""

    def change(some: pl.Series) -> pl.Series:
        return some.str.replace_all(_LOOKS, "").str.replace_many(list(_NEAREST), list(_NEAREST.values()))

    return _where(texts, texts.str.contains(_HAS_EMOJI), change)


def without_idioms(texts: pl.Series) -> pl.Series:
    """`not bad` is `quite good`: see `idioms`."""
    return _where(texts, texts.str.contains_any(MARKS, ascii_case_insensitive=True), _without_idioms)


def _without_idioms(texts: pl.Series) -> pl.Series:
    return _where(texts, texts.str.contains(_one_of(IDIOMS)), _in_plain_words)


def _in_plain_words(texts: pl.Series) -> pl.Series:
    """By groups, as Polars keeps 32 compiled expressions a thread: each idiom by itself was compiled for each batch."""
    for start in range(0, len(IDIOMS), _GROUP):
        group = IDIOMS[start : start + _GROUP]
        texts = _where(texts, texts.str.contains(_one_of(group)), partial(_without, group))
    return texts


def _without(group: Sequence[tuple[str, str]], texts: pl.Series) -> pl.Series:
    for idiom, words in group:
        texts = texts.str.replace_all(_one_of([(idiom, words)]), words.replace("$1", "${1}"))
    return texts


def _one_of(group: Sequence[tuple[str, str]]) -> str:
    return rf"(?i)\b(?:{'|'.join(idiom for idiom, _ in group)})\b"


def _where(texts: pl.Series, holds: pl.Series, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Changes only the texts for which `holds` is true. (`scatter` writes into its series, hence the clone.)"""
    if not holds.any():
        return texts
    return texts.clone().scatter(holds.arg_true(), change(texts.filter(holds)))


def _split(texts: pl.Series) -> pl.Series:
    """In one pass whatever the length: a hashtag may have hundreds of words."""
    part = pl.element()
    words = part
    for cut in _CUTS:
        words = words.str.replace_all(cut, "${1} ${2}")
    parts = texts.str.replace_all(_MARK, "", literal=True).str.replace_all(_SENTENCE, f"{_MARK}${{1}}{_MARK}").str.split(_MARK)
    return parts.list.eval(pl.when(part.str.contains(f"^{_SENTENCE}$")).then(words).otherwise(part)).list.join("")


def _spoken(text: str) -> str:
    lower = with_capitals(text.lower().replace("i\u0307", "i"))  # of Turkish İ
    before = _BEFORE_TEXT.match(lower)
    start = before.end() if before else 0
    return lower[:start] + lower[start : start + 1].upper() + lower[start + 1 :]
