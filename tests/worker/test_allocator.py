"""What the worker sets for the memory of Polars and Arrow."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.worker.allocator import LIBRARIES


@pytest.mark.parametrize(
    "given", [{}, {"_RJEM_MALLOC_CONF": "dirty_decay_ms:5"}], ids=["nothing given", "a value of the user's"]
)
def test_what_is_set_stays(given: dict[str, str]) -> None:
    environment = {key: each for key, each in os.environ.items() if key not in LIBRARIES} | given
    code = "from pipeline.worker.allocator import keep_pages; keep_pages(); import os, pyarrow"
    code += f"; print(*map(os.environ.get, {[*LIBRARIES]}), pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*(LIBRARIES | given).values(), "system"]
