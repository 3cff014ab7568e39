"""The owner of a data folder: `earshot up` marks its folder, and `earshot reset` empties only marked folders."""

from __future__ import annotations

from pathlib import Path

from pipeline.embedded.secret import FOLDER as SECRETS
from pipeline.embedded.token import NAMES as TOKENS
from pipeline.errors import StackError

MARKER = "earshot-data"
_TEXT = "A data folder of `earshot up`; `earshot reset` deletes kafka/, clickhouse/, its logs and its secrets.\n"
WHOLE = ("kafka", "clickhouse")
"""The folders in it that Earshot owns whole."""


def is_ours(folder: Path) -> bool:
    """Whether `earshot up` has run in the folder. Versions without the marker made these two files."""
    before = (folder / "clickhouse" / "engine.xml", folder / SECRETS / TOKENS["control"])
    return (folder / MARKER).is_file() or all(path.is_file() for path in before)


def claim(folder: Path) -> None:
    """Marks the folder and makes it private. Raises StackError if it has such a folder that Earshot did not make."""
    folder.mkdir(parents=True, exist_ok=True)
    theirs = [name for name in WHOLE if (folder / name).exists()]
    if theirs and not is_ours(folder):
        raise StackError(f"{folder}: {theirs[0]}/ in it is not Earshot's; give a folder of its own (--data-dir)")
    folder.chmod(0o700)
    (folder / MARKER).write_text(_TEXT)
