"""Terms of brands.yaml and of rules, as the matching takes them."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

from pipeline.processors.mentions.folding import fold


class Use(IntEnum):
    """The role of a term for a brand."""

    HANDLE = 0
    KEYWORD = 1
    EXCLUDED = 2
    """In a text with this term no keyword of the brand counts."""
    EXCLUDED_AROUND = 3
    """It contains a keyword of the brand: keywords inside it do not count."""


class Form(IntFlag):
    """The forms in which a term counts."""

    WHOLE = 1
    """As a word, with the particles of its script."""
    TAG = 2
    """As a word of a joined hashtag."""
    PLURAL = 4


WORD = Form.WHOLE | Form.TAG


class Term(NamedTuple):
    """A folded term, its role, the number of its brand, and the forms in which it counts."""

    text: str
    use: Use
    brand: int
    forms: Form = WORD


class Domain(NamedTuple):
    """A domain in small letters, and the number of its brand."""

    text: str
    brand: int


def term_text(text: str) -> str:
    """A term of brands.yaml, folded for matching; empty if nothing of it is left."""
    return fold(text).strip()


def words(text: str, use: Use, brand: int, forms: Form = WORD) -> list[Term]:
    """A keyword, phrase or exclusion in all its spellings: joined, as in hashtags, and Arabic ones with li- in place of al-."""
    term = term_text(text)
    spellings = [Term(term, use, brand, forms)]
    joined = {"".join(c for c in term if c.isalnum()), "_".join(term.split(" "))} - {term, ""}
    spellings += [Term(spelling, use, brand, Form.TAG) for spelling in sorted(joined) if Form.TAG in forms]
    if term.startswith("ال") and len(term) > len("ال") + 2:
        spellings.append(Term("لل" + term.removeprefix("ال"), use, brand, forms))
    return spellings
