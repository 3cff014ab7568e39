"""Restarts children that died, and keeps their logs small."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from pipeline.embedded.child import Child

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0
"""After a run of this length the delay is the first one again."""


class Supervisor:
    """Watches running children from `start` to `stop`; prints a line for each that died: how, and when it restarts."""

    def __init__(self, children: Iterable[Child], say: Callable[[str], None]) -> None:
        self._say = say
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(child,), name=f"supervise {child.name}", daemon=True)
            for child in children
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """After it returns, no child starts any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, child: Child) -> None:
        delay, started = FIRST_DELAY_S, time.monotonic()
        while not self._stop.wait(0.2):
            child.rotate()
            if child.alive:
                continue
            if time.monotonic() - started > STEADY_S:
                delay = FIRST_DELAY_S
            self._say(f"{child.name} died ({child.ending}); starting it again in {delay:.0f} s")
            if self._stop.wait(delay):
                return
            self._start(child)
            delay, started = min(2 * delay, LONGEST_DELAY_S), time.monotonic()

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:  # a full disk may have room later
            self._say(f"{child.name} can't be started: {error.strerror}")
