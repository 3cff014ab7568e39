"""Reload: brands.yaml and alerts.yaml are taken over when they change, without a restart.

A file is looked at twice a second and read when it has stopped changing, so that one that is being written is not taken for
the whole. What is broken or gone leaves what was before in force; that is said once, in one line, and is a metric until the
file is right again. Replacing the file in one move (as editors, git and Kubernetes do) is as good as writing it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pipeline.errors import SettingsError
from pipeline.monitoring.metrics import Reloads

EVERY_S = 0.5
T = TypeVar("T")


class WatchedFile(Generic[T]):
    """A file, and what of it is in force: `value`. Raises what `parse` raises, SettingsError, when it is wrong at the start.

    What `reloads` says it lists is the attribute of `value` that holds them.
    """

    def __init__(self, path: Path, parse: Callable[[bytes, Path], T], reloads: Reloads) -> None:
        self._path, self._parse, self._reloads = path, parse, reloads
        self._log = logging.getLogger(f"earshot.{reloads.what}")
        self._known = self._seen = _stamp(path)
        self._content = self._read()
        self.value = parse(self._content, path)

    def look(self, use: Callable[[T], None]) -> None:
        """Hands another value to `use` when the file has changed since, and has not changed between this look and the last."""
        stamp = _stamp(self._path)
        moving, self._seen = stamp != self._seen, stamp
        if moving or stamp == self._known:
            return
        self._known = stamp
        try:
            content = self._read()
            value = self._parse(content, self._path)
        except SettingsError as error:
            self.refuse(error)
            return
        self._reloads.stale.set(0)
        if content != self._content:
            use(value)
            self._content, self.value = content, value
            self._reloads.changes.labels("ok").inc()
            what = self._reloads.what
            self._log.info("%s: %d %s are in force from the next batch on", self._path, len(getattr(value, what)), what)

    def refuse(self, error: SettingsError) -> None:
        """Says that the file is broken, and what was before stays in force; also for who finds out later than `parse`."""
        self._reloads.changes.labels("failed").inc()
        self._reloads.stale.set(1)
        self._log.error("the %s before stay in force: %s", self._reloads.what, error)

    def keep_looking(self, use: Callable[[T], None]) -> None:
        """Looks on a daemon thread, for as long as the process lives."""

        def look() -> None:
            pause = threading.Event()
            while not pause.wait(EVERY_S):
                self.look(use)

        threading.Thread(target=look, name=self._reloads.what, daemon=True).start()

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{self._path}: {error.strerror}") from None


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
