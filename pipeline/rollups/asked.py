"""A rebuild that a person asks for: passed from the control API to the job, one at a time."""

from __future__ import annotations

import threading
from typing import NamedTuple

from pipeline.errors import ConflictError
from pipeline.rollups.rollup import Span


class Progress(NamedTuple):
    """How far the last one is, in quarters of all rollups."""

    of: int = 0
    left: int = 0
    failed: str = ""
    """Why it ended before its end, or will: of a table the rest is not made anew; blank: all is well."""


class Asked:
    """Threads may share it. Restart: nobody has asked for anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._span: Span | None = None
        self._progress = Progress()

    def ask(self, span: Span) -> Progress:
        """The job takes it with its next turn. Raises ConflictError while another one is under way."""
        with self._lock:
            if self._progress.left:
                done = 100 * (self._progress.of - self._progress.left) // self._progress.of
                raise ConflictError(f"a rebuild is under way, {done} % are done: wait for its end")
            size = span.last - span.first + 1
            self._span, self._progress = span, Progress(size, size)
            return self._progress

    def take(self) -> Span | None:
        """What was asked for since the last call."""
        with self._lock:
            span, self._span = self._span, None
            return span

    def report(self, of: int, left: int, failed: str = "") -> None:
        """The job has done so much."""
        with self._lock:
            self._progress = Progress(of, left, failed)

    def fail(self, why: str) -> None:
        """It ends here, if one is under way."""
        with self._lock:
            self._span = None
            if self._progress.left:
                self._progress = Progress(self._progress.of, 0, why)

    def progress(self) -> Progress:
        """Of the last one."""
        with self._lock:
            return self._progress
