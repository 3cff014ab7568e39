"""Terms that are a part of a word in writing, and yet a word: in Markdown's underscores, with particles, in the plural.

- `_Acme_`: underscores with no letter beyond them are emphasis. `my_acme` is a word, `@acme_` another account.
- Arabic and Hebrew write and, in, to, the and the like in front of a word (والمنارة, בתפוזית), Persian the plural, possession
  and the like behind it. A term needs three letters for that.
- Turkish writes cases behind a name, after an apostrophe or without it (Acmeden). Without it they count in texts with a word or
  letter of Turkish: many of them are words or endings of other languages.
- Plurals in s and es of Latin-script terms, for brands with `plurals: true`.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.processors.mentions.fold_table import Codes
from pipeline.processors.mentions.folding import Folded, Ints, Mask, fold
from pipeline.processors.mentions.spans import Spans, Strings, after, before, is_letter, leading, words

WIDTH = 12
"""The letters around a term that are looked at: one more than the longest particle has."""
SHORTEST = 3
_AT, _UNDERSCORE = ord("@"), ord("_")
_ARABIC, _HEBREW = (0x600, 0x6FF), (0x5D0, 0x5EA)


def _joined(*parts: str) -> set[str]:
    """All ways to take one of each, without the one that takes nothing; `-` is nothing."""
    return {"".join(p for p in taken if p != "-") for taken in product(*(part.split() for part in parts))} - {""}


def _array(texts: set[str]) -> Strings:
    folded = {fold(text) for text in texts}
    assert max(map(len, folded)) < WIDTH
    return np.array(sorted(folded), f"U{WIDTH}")


_ARABIC_HEADS = _joined("- و ف", "- ب ك ل ال بال كال فال لل")
_HEBREW_HEADS = _joined("- ו", "- ש כש מש לכש", "- ב ל מ כ", "- ה")
_HEADS = _array({text[::-1] for text in _ARABIC_HEADS | _HEBREW_HEADS})
_PERSIAN_TAILS = _array(
    _joined("ها های هایی هاي هايي هام هات هاش هامون هاتون هاشون هایش هایم", "- را رو")
    | _joined("ی یی ای ام ات اش مان تان شان مون تون شون م را رو")
)
_PLURALS = _array({"s", "es"})
_TURKISH_TAILS = _array(
    _joined("- ler lar", "yi yu ya ye da de ta te dan den tan ten in un nin nun la le yla yle")
    | _joined("- ler lar", "daki deki taki teki dakiler dekiler")
    | _joined("ler lar li lu lik luk ci cu siz suz ca ce im um leri lari imiz iniz si su dir tir mis ymis")
    | _joined("m", "i u in un e a de da den dan le la")
)
_TURKISH_ONLY = _array(_joined("den dan nin nun deki daki lerden lardan lerin larin"))
_TURKISH_VOWELS = _array(_joined("a e i u"))
_TURKISH_LETTERS, _UMLAUTS = "[ıİşŞğĞ]", "[ıİşŞğĞüÜöÖçÇ]"
_EMPHASIS = r"(?:^|[^\w@])_{1,3}[^\s_][^_\n]*@[A-Za-z0-9]+_{1,3}(?:$|\W)"
"""A part of a text in underscores, with an account's name at its end."""
_TURKISH_WORDS = (
    r"(?i)\b(?:bir|çok|cok|için|icin|değil|degil|gibi|kadar|daha|neden|hiç|hic|iyi|kötü|kotu|berbat|güzel|guzel|artık|artik"
    r"|lütfen|lutfen|bence|yine|şey|sey|kargo|sipariş|siparis|ürün\w*|urun\w*|fiyat\w*|müşteri\w*|musteri\w*|hizmet\w*"
    r"|teşekkür\w*|tesekkur\w*|alışveriş\w*|alisveris\w*|bugün|bugun|dün|yarın|yarin|sonra|önce|ancak|çünkü|cunku|diye|asla"
    r"|ilgili|uzak|boykot|memnun\w*|edelim|durun|yok|alın|aldim|gittim|geldim|verdim|dedim|ettim|yaptim|bekledim|istedim"
    r"|kullandim|gordum|gelmedi|oldu|etti|\w+(?:[iıuü]yor\w*|[ae]cağ[ıi]m|m[ae]dı\w*|m[ae]dim|m[ae]y[iıİ]n|[dt][ıü][mk]?|\wdim))\b"
)
_TURKISH_LONG = _TURKISH_TAILS[np.char.str_len(_TURKISH_TAILS) > 2]
_TURKISH = (
    (_TURKISH_LONG, f"{_UMLAUTS}|{_TURKISH_WORDS}"),
    (_TURKISH_TAILS, f"{_TURKISH_LETTERS}|{_TURKISH_WORDS}"),
    (_TURKISH_VOWELS, _TURKISH_WORDS),
)
"""Endings, and what a text needs so that they count."""


class Touched(NamedTuple):
    """Terms that letters or underscores touch."""

    spans: Spans
    in_front: Mask
    behind: Mask
    handles: Mask
    plurals: Mask
    """Which of them count in the plural."""
    rows: Ints
    """The number of each one's text."""


def are_words(texts: Folded, touched: Touched, unfolded: pl.Series) -> tuple[Mask, Mask]:
    """Which terms are words all the same: as they are, and as plurals. `unfolded`: the texts before folding, by number."""
    spans, in_front, behind, handles, plural, rows = touched
    heads, tails = before(texts, spans, WIDTH), after(texts, spans, WIDTH)
    particles = ~handles & (spans.ends - spans.starts >= SHORTEST)
    first, last = (texts.codes[at].astype(np.uint32) for at in (spans.starts, spans.ends - 1))
    attached = particles & _in(heads[:, 0], _ARABIC, _HEBREW) & np.isin(words(heads), _HEADS)
    front = ~in_front | (_is_emphasis(heads) & (is_letter(first) | (first == _AT))) | attached
    account = np.where(handles, heads[:, 0] != _UNDERSCORE, (heads[:, 0] == _AT) & (heads[:, 1] != _UNDERSCORE))
    emphasis = _is_emphasis(tails) & is_letter(last)
    handle = np.flatnonzero(emphasis & account & handles)
    if handle.size:
        account[handle] = ~unfolded.gather(rows[handle]).str.contains(_EMPHASIS).to_numpy()
    back = ~behind | (emphasis & ~account)
    latin = particles & _in(tails[:, 0], (ord("a"), ord("z"))) & _in(last, (ord("a"), ord("z")))
    after_it = words(tails)
    back |= particles & _in(tails[:, 0], _ARABIC) & np.isin(after_it, _PERSIAN_TAILS)
    back |= latin & (spans.ends - spans.starts > SHORTEST) & np.isin(after_it, _TURKISH_ONLY)
    for known, signs in _TURKISH:
        turkish = np.flatnonzero(latin & front & ~back & np.isin(after_it, known))
        if turkish.size:
            back[turkish] = unfolded.gather(rows[turkish]).str.contains(signs).to_numpy()
    return front & back, front & latin & plural & np.isin(after_it, _PLURALS)


def _in(codes: Codes, *ranges: tuple[int, int]) -> Mask:
    inside: Mask = np.any([(codes >= first) & (codes <= last) for first, last in ranges], axis=0)
    return inside


def _is_emphasis(around: Codes) -> Mask:
    """Whether underscores are the nearest characters, and the one beyond them is no letter and no @."""
    count = leading(around == _UNDERSCORE)
    beyond = np.take_along_axis(around, np.minimum(count, WIDTH - 1)[:, None], axis=1)[:, 0]
    emphasis: Mask = (count > 0) & (count < WIDTH) & ~is_letter(beyond) & (beyond != _AT)
    return emphasis
