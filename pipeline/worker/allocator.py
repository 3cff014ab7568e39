"""Memory, set up for batches: the C allocator keeps the pages of one batch for the next, and Python collects garbage seldom.

By default glibc takes each buffer of a batch from the system and returns it at once, so every batch waits for its pages to be
cleared again: a quarter of the worker's CPU time. One arena, so that the threads of the steps share free pages.

Polars has an allocator of its own, which keeps pages for longer likewise. Arrow's would be a third: each keeps what the others
could use, and Arrow takes the C allocator's.

A listener is small, and holds for long what it has: `return_pages`.
"""

from __future__ import annotations

import ctypes
import gc
import os

# malloc.h of glibc; other libraries have no mallopt, and are left as they are.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
FEW, LARGE = 2, 64 << 10
_KEEP_BYTES, _LARGEST_MMAP_THRESHOLD = 1 << 30, 32 << 20
LIBRARIES = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:5000,narenas:1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Environment variables that Polars' allocator and Arrow read when they are loaded."""


def keep_pages() -> None:
    """From now on freed memory stays with the process. Called before threads start, Polars and Arrow are imported. A
    variable that is set stays as it is."""
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)


def return_pages() -> None:
    """From now on a freed block of LARGE bytes or more goes back to the system at once: a process that makes some a second kept
    several times what it needs. Called before threads start."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, FEW)
        mallopt(_MMAP_THRESHOLD, LARGE)


def collect_seldom() -> None:
    """A batch is tens of thousands of objects without cycles: collecting at the default pace took a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
