"""Reload: brands.yaml is taken over when it changes, without a restart.

The file is looked at twice a second and read when it has stopped changing, so that one that is being written is not taken for
the whole. What is broken or gone leaves the brands before in force; that is said once, in one line, and is a metric until the
file is right again. Replacing the file in one move (as editors, git and Kubernetes do) is as good as writing it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from pipeline import metrics
from pipeline.brands import Brands, parse_brands
from pipeline.errors import SettingsError

EVERY_S = 0.5
log = logging.getLogger("earshot.brands")


class BrandsFile:
    """brands.yaml, and what of it is in force. Raises SettingsError when it can't be read at the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._seen = _stamp(path)
        self._content = self._read()
        self.brands = parse_brands(self._content, path)

    def look(self, use: Callable[[Brands], None]) -> None:
        """Hands other brands to `use` when the file has changed since, and has not changed between this look and the last."""
        stamp = _stamp(self._path)
        moving, self._seen = stamp != self._seen, stamp
        if moving or stamp == self._known:
            return
        self._known = stamp
        try:
            content = self._read()
            brands = parse_brands(content, self._path)
        except SettingsError as error:
            metrics.BRANDS_RELOADS.labels("failed").inc()
            metrics.BRANDS_STALE.set(1)
            log.error("the brands before stay in force: %s", error)
            return
        metrics.BRANDS_STALE.set(0)
        if content != self._content:
            use(brands)
            self._content, self.brands = content, brands
            metrics.BRANDS_RELOADS.labels("ok").inc()
            log.info("%s: %d brands are in force from the next batch on", self._path, len(brands.brands))

    def keep_looking(self, use: Callable[[Brands], None]) -> None:
        """Looks on a daemon thread, for as long as the process lives."""

        def look() -> None:
            pause = threading.Event()
            while not pause.wait(EVERY_S):
                self.look(use)

        threading.Thread(target=look, name="brands", daemon=True).start()

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
