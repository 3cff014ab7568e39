"""Empties a data folder. It deletes only what `earshot up` made: a mistyped folder may be somebody's home."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from pipeline.config.keys import NAMES
from pipeline.embedded import own_settings, password
from pipeline.embedded.folder import MARKER, WHOLE, is_ours
from pipeline.embedded.privacy_keys import older_files
from pipeline.embedded.secret import FOLDER as SECRETS
from pipeline.embedded.stack import LOGS, acquire, lock
from pipeline.embedded.token import CONSOLES
from pipeline.embedded.token import NAMES as TOKENS
from pipeline.errors import StackError

_PROCESSES = ("kafka", "clickhouse", "worker", "control", "customers", "listen")
_SECRETS = (*NAMES, *TOKENS.values(), *CONSOLES.values(), *password.NAMES.values(), own_settings.NAME)
_FILES = {
    LOGS: [f"{name}{end}" for name in _PROCESSES for end in (".log", ".1.log")],
    SECRETS: [f"{name}{end}" for name in _SECRETS for end in ("", ".part")],
}
"""Earshot's files in folders that may hold files of others."""


class Emptied(NamedTuple):
    """The paths that `reset` deleted, and the rest."""

    gone: list[str]
    left: list[str]
    """Paths that remain: not Earshot's, or the targets of links."""


def reset(folder: Path) -> Emptied:
    """Deletes what `earshot up` made in the folder. Links are deleted, their targets stay.

    Raises StackError while a stack runs in it, or if nothing in it is Earshot's; then nothing is deleted.
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
    """The paths to delete: our folders and files, not through links. Empty for a folder that `earshot up` has not marked."""
    if not is_ours(folder):
        return []
    paths = [path for name in WHOLE if (path := folder / name).is_dir()]
    older = [path.name for name in NAMES for path in older_files(folder, name).values()]
    for name, files in (*_FILES.items(), (SECRETS, older)):
        inside = [path for file in files if (path := folder / name / file).is_file()]
        paths += [folder / name] if inside and (folder / name).is_symlink() else inside
    return [*paths, *(path for path in [folder / MARKER] if path.is_file())]


def _drop_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def _names(folder: Path) -> list[str]:
    """The folder's entries, except the lock, which stays: another `up` may wait for it."""
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")
