"""Searches by the patterns of a mapping, with a limit: some patterns need years for a text that a stranger wrote on purpose."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from types import FrameType

from pipeline.errors import SettingsError
from pipeline.sources.recorded.reasons import Unmappable

Search = Callable[[str], re.Match[str] | None]
SECONDS, MOST_SLOW = 1.0, 10
"""CPU time for one text, and the slow texts after which the pattern is a mistake of the mapping."""
_SHORT = 16
"""No pattern needs long for so few characters."""


class _TooSlow(Exception):
    pass


def searcher(pattern: str) -> Search:
    """The first match of the pattern in a text.

    It raises Unmappable for a text that takes over a second, SettingsError for the tenth of them. Only the main thread can
    interrupt a search: other threads have no limit.
    """
    search = re.compile(pattern).search
    slow = 0
    main = threading.main_thread()
    if threading.current_thread() is main:
        signal.signal(signal.SIGVTALRM, _stop)

    def bounded(text: str) -> re.Match[str] | None:
        nonlocal slow
        if len(text) <= _SHORT or threading.current_thread() is not main:
            return search(text)
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                return search(text)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except _TooSlow:
            slow += 1
        if slow == MOST_SLOW:
            raise SettingsError(f"pattern {pattern!r}: {slow} texts took over {SECONDS:g} s each: make it simpler")
        raise Unmappable(f"{pattern} takes over {SECONDS:g} s for this text: make it simpler")

    return bounded


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooSlow
