"""The benchmark suite: `python -m benchmarks` (make bench). What it measures, and how to read it: docs/benchmarks.md."""

from __future__ import annotations

import os

from pipeline.worker.allocator import keep_pages

CORES = 2


def prepare() -> None:
    """This process and all that it starts get two cores, and its memory is set up as a worker's. Before Polars is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    os.environ["POLARS_MAX_THREADS"] = str(CORES)
    keep_pages()
