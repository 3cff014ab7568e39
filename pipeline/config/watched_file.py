"""Reloads brands.yaml and alerts.yaml when they change, without a restart.

A file is checked twice a second and read once it has stopped changing, so that a file in the middle of a write is not read. If
the file is broken or missing, the version before stays active; one line in the log says so, and a metric until the file is
right again. Replacing the file in one move (as editors, git and Kubernetes do) works as well as writing it.
"""

from __future__ import annotations

import hashlib
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
    """A file and its active version, `value`; `digest` is the SHA-256 of its content, and of a new one while `check` passes it
    on. Raises SettingsError, as `parse` does, if the file is wrong at the start.

    `reloads.what` is the attribute of `value` that lists the file's entries.
    """

    def __init__(self, path: Path, parse: Callable[[bytes, Path], T], reloads: Reloads) -> None:
        self._path, self._parse, self._reloads = path, parse, reloads
        self._log = logging.getLogger(f"earshot.{reloads.what}")
        self._known = self._seen = _stamp(path)
        self._content = self._content_of_file()
        self.value = parse(self._content, path)
        self.digest = _digest(self._content)

    def check(self, use: Callable[[T], None]) -> None:
        """Passes a new value to `use` if the file has changed, and not between the last call and this one."""
        stamp = _stamp(self._path)
        moving, self._seen = stamp != self._seen, stamp
        if moving or stamp == self._known:
            return
        self._known = stamp
        try:
            content = self._content_of_file()
            value = self._parse(content, self._path)
        except SettingsError as error:
            self.refuse(error)
            return
        self._reloads.stale.set(0)
        if content != self._content:
            self.digest = _digest(content)
            use(value)
            self._content, self.value = content, value
            self._reloads.changes.labels("ok").inc()
            what = self._reloads.what
            self._log.info("%s: %d %s are active from the next batch on", self._path, len(getattr(value, what)), what)

    def refuse(self, error: SettingsError) -> None:
        """Logs that the file is broken and its last version stays active; for callers that notice it after `parse`, too."""
        self._reloads.changes.labels("failed").inc()
        self._reloads.stale.set(1)
        self._log.error("the last good %s stay active: %s", self._reloads.what, error)

    def keep_checking(self, use: Callable[[T], None]) -> None:
        """Checks on a daemon thread until the process ends."""

        def loop() -> None:
            pause = threading.Event()
            while not pause.wait(EVERY_S):
                self.check(use)

        threading.Thread(target=loop, name=self._reloads.what, daemon=True).start()

    def _content_of_file(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{self._path}: {error.strerror}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
