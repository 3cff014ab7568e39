"""What the worker sets for the memory of Polars."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.worker.allocator import POLARS


@pytest.mark.parametrize("given", [None, "dirty_decay_ms:5"], ids=["nothing given", "a value of the user's"])
def test_what_is_set_stays(given: str | None) -> None:
    ((name, value),) = POLARS.items()
    environment = {key: each for key, each in os.environ.items() if key != name} | ({name: given} if given else {})
    code = f"from pipeline.worker.allocator import keep_pages; keep_pages(); import os; print(os.environ['{name}'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (given or value)
