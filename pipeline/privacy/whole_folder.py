"""A folder that appears when it is whole: it is written beside its name, and renamed at the end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import EarshotError


@contextmanager
def whole_folder(folder: Path, files: Container[str], what: str) -> Iterator[Path]:
    """A folder for its owner alone beside `folder`, which gets its name at the end, when its files are on the disk. If the
    block fails, there is neither. What a run left that was killed is taken away, if it holds nothing but files of these names.

    `what`: export or backup. Raises EarshotError if there is something of the name, for a disk that is full, and while another
    run writes the same.
    """
    nothing = f"nothing was {'exported' if what == 'export' else 'backed up'}"
    try:
        if os.path.lexists(folder):
            raise EarshotError(f"{folder} is there already: name a folder that is not")
        part = folder.with_name(f"{folder.name}.part")
        held = _hold(part, files, what)
        try:
            yield part
            for file in part.iterdir():
                flush(file)
            flush(part)
            part.rename(folder)
            flush(folder.absolute().parent)  # the name is in it
        except BaseException:
            _clear(part, files, what)
            raise
        finally:
            os.close(held)
    except OSError as error:
        raise EarshotError(f"{folder}: {error.strerror}; {nothing}") from None


def new_file(path: Path) -> int:
    """A descriptor of a new file for its owner alone. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _hold(part: Path, files: Container[str], what: str) -> int:
    """A descriptor by which the folder, empty now, is this process's. Raises EarshotError if another one writes it, OSError."""
    if not part.is_symlink():
        part.mkdir(mode=0o700, exist_ok=True)
    _check(part, files, what)
    held = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if part.stat().st_ino != os.fstat(held).st_ino:
            raise FileNotFoundError  # the other one has ended since it was opened
        os.fchmod(held, 0o700)
        for file in part.iterdir():
            file.unlink()
    except BaseException as error:
        os.close(held)
        if isinstance(error, (BlockingIOError, FileNotFoundError)):
            raise EarshotError(f"another {what} writes {part} at this moment") from None
        raise
    return held


def flush(path: Path) -> None:
    """A file or a folder to the disk: else a folder might have its name, and a file be empty, when the machine stops. Raises
    OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(part: Path, names: Container[str], what: str) -> None:
    """Raises EarshotError for a link, and for files that are none of ours."""
    if part.is_symlink():  # what it leads to is not ours
        raise EarshotError(f"{part} is a link, which no {what} made: name another folder, or take it away")
    if strange := [file.name for file in part.iterdir() if file.name not in names or file.is_dir()]:
        raise EarshotError(f"{part} holds {strange[0]!r}, which no {what} wrote: name another folder, or take it away")


def _clear(part: Path, names: Container[str], what: str) -> None:
    """Takes away what a run has left."""
    if part.is_dir():  # it is not, if it has its name already
        _check(part, names, what)
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
