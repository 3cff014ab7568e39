"""What stays so until a statement changes the engine's names: which there are, and what may be asked of them.

To read the names takes the engine 19 ms of a core, as much as a page's query itself.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

MOST = 500
LONGEST = 64 << 10
"""Bytes of a statement whose verdict is kept."""
_CHANGES_NO_NAME = re.compile(rb"\s*+(INSERT\s|OPTIMIZE\s|SYSTEM\s++RELOAD\s++DICTIONARY\s)", re.I)
T = TypeVar("T")


class Known:
    """Values by key; what was used longest ago goes first. Threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: OrderedDict[Hashable, Any] = OrderedDict()
        self._changing = self._changed = 0

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `make`, now or as it was since the last change. What it raises is not kept."""
        with self._lock:
            before = self._changed
            if not self._changing and key in self._all:
                self._all.move_to_end(key)
                found: T = self._all[key]
                return found
        value = make()
        with self._lock:
            if not self._changing and before == self._changed:
                self._all[key] = value
                while len(self._all) > MOST:
                    self._all.popitem(last=False)
        return value

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Inside, and of what was made before its end, nothing is kept."""
        with self._lock:
            self._changing += 1
        try:
            yield
        finally:
            with self._lock:
                self._changing -= 1
                self._changed += 1
                self._all.clear()


def may_change_names(sql: bytes, reads: bool, database: str) -> bool:
    """Whether a statement may make, rename or drop a table or function; True where it is not plain. What is read of a file in
    database default is a table there from then on."""
    if reads:
        return database == "default" or b"default" in sql.lower()
    return not _CHANGES_NO_NAME.match(sql)
