"""What a data folder keeps for itself: made once, and readable by its owner alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def make_secret(data_dir: Path, name: str, make: Callable[[], str]) -> str:
    """The folder's secret of this name; makes it when there is none."""
    folder = data_dir / "secrets"
    path = folder / name
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        part = folder / f"{name}.part"
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(make())
        part.replace(path)
    return path.read_text()
