"""The secrets of a data folder: made once, readable only by its owner."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

FOLDER = "secrets"


def make_secret(data_dir: Path, name: str, make: Callable[[], str]) -> str:
    """The folder's secret of this name; makes it if there is none."""
    path = data_dir / FOLDER / name
    if not path.exists():
        write_secret(path, make())
    return path.read_text()


def write_secret(path: Path, text: str) -> None:
    """Writes the file at once, readable only by its owner; makes its folder."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def read_secret(data_dir: Path, name: str) -> str:
    """The folder's secret of this name; empty if there is none."""
    path = data_dir / FOLDER / name
    return path.read_text() if path.exists() else ""
