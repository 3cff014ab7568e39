"""Emptying a data folder: what `earshot up` made there goes, and nothing else: by a slip the folder may be somebody's home."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from pipeline.embedded import hash_key, own_settings, password, token
from pipeline.embedded.folder import MARKER, WHOLE, is_ours
from pipeline.embedded.secret import FOLDER as SECRETS
from pipeline.embedded.stack import LOGS, acquire, lock
from pipeline.errors import StackError

_FILES = {
    LOGS: [f"{name}{end}" for name in ("kafka", "clickhouse", "worker", "control") for end in (".log", ".1.log")],
    SECRETS: [
        f"{name}{end}" for name in (hash_key.NAME, token.NAME, password.NAME, own_settings.NAME) for end in ("", ".part")
    ],
}
"""What Earshot keeps in folders where others may keep something too."""


class Emptied(NamedTuple):
    gone: list[str]
    left: list[str]
    """What is there still: not Earshot's, or where a link pointed to."""


def reset(folder: Path) -> Emptied:
    """Deletes what `earshot up` made in the folder. A link goes, what it points to stays.

    Raises StackError while a stack runs in it, or when all that is in it is somebody else's: then nothing is deleted.
    """
    if not folder.is_dir():
        return Emptied([], [])
    if not is_ours(folder) and (rest := _names(folder)):
        raise StackError(f"{folder}: nothing in it is Earshot's ({', '.join(rest[:3])} ...); it stays as it is")
    held = lock(folder)
    acquire(held, folder)
    try:
        paths = ours(folder)
        targets = [f"{path.name} -> {path.resolve()}" for path in paths if path.is_symlink()]
        for path in paths:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in _FILES:
            _drop_empty(folder / name)
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}") from None
    finally:
        held.release()
    return Emptied([str(path.relative_to(folder)) for path in paths], targets + _names(folder))


def ours(folder: Path) -> list[Path]:
    """The paths that go: folders and files of ours, not through a link. None in a folder that `earshot up` has not marked."""
    if not is_ours(folder):
        return []
    found = [path for name in WHOLE if (path := folder / name).is_dir()]
    for name, files in _FILES.items():
        inside = [path for file in files if (path := folder / name / file).is_file()]
        found += [folder / name] if inside and (folder / name).is_symlink() else inside
    return [*found, *(path for path in [folder / MARKER] if path.is_file())]


def _drop_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def _names(folder: Path) -> list[str]:
    """What is in the folder, but for the lock, which stays: another `up` may wait for it."""
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")
