"""Databases of earlier releases."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.clickhouse.migrations import FOLDER


def migrations_before(number: int, folder: Path) -> Path:
    """The folder, with the migrations before that of this number."""
    for path in FOLDER.glob("*.sql"):
        if int(path.name[:3]) < number:
            shutil.copy(path, folder)
    return folder
