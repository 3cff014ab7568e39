"""The programs that check deploy/: from build/tools, where .ci/tools puts them, else from the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
_PLACES = os.pathsep.join([str(ROOT / "build/tools/bin"), str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def program(name: str) -> str:
    """Its path; skips the test, saying why, where it is not."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        pytest.skip(f"no {name} here (.ci/tools fetches it)")
    return found


def run(name: str, *arguments: str | Path) -> str:
    """What it says, standard error too; fails the test with it when the program fails."""
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
