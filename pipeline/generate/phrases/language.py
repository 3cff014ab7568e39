"""The phrases of one language.

`{b}` is where the brand is named, `{t}` a thing of the language's list; every brand text names its brand once, a comparison
names `{c}` too. Hostile texts insult and threaten; they slur nobody.
"""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    weight: int
    """How many of a hundred people write this language."""
    things: tuple[str, ...]
    negative: tuple[str, ...]
    positive: tuple[str, ...]
    neutral: tuple[str, ...]
    hostile: tuple[str, ...]
    anger: tuple[str, ...]
    """Texts of a burst of anger; `{t}` is its cause."""
    answers: tuple[str, ...]
    """Answers of the brand's support; they name no brand."""
    thanks: str
    still: str
    small_talk: tuple[str, ...]


def each_pair(openings: tuple[str, ...], ends: tuple[str, ...]) -> tuple[str, ...]:
    """Every opening with every end, so that many people are angry about one thing and few use the same words."""
    return tuple(f"{opening} {end}" for opening in openings for end in ends)
