"""Searches by the patterns of a mapping, with a limit: some patterns need years for a text that a stranger wrote on purpose."""

from __future__ import annotations

from collections.abc import Callable

import regex

from pipeline.errors import SettingsError
from pipeline.sources.recorded.reasons import Unmappable

Search = Callable[[str], regex.Match[str] | None]
SECONDS, MOST_SLOW = 1.0, 10
"""For one text, and the slow texts after which the pattern is a mistake of the mapping."""


def searcher(pattern: str) -> Search:
    """The first match of the pattern in a text.

    It raises Unmappable for a text that takes over a second, SettingsError for the tenth of them.
    """
    search = regex.compile(pattern).search
    slow = 0

    def bounded(text: str) -> regex.Match[str] | None:
        nonlocal slow
        try:
            return search(text, timeout=SECONDS)
        except TimeoutError:
            slow += 1
        if slow == MOST_SLOW:
            raise SettingsError(f"pattern {pattern!r}: {slow} texts took over {SECONDS:g} s each: make it simpler")
        raise Unmappable(f"{pattern} takes over {SECONDS:g} s for this text: make it simpler")

    return bounded
