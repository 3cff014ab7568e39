"""Files from Maven Central: fetched once by jgo, kept in a folder, each with the SHA-256 sum that a lock file says."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import StackError


class JarsUnreachable(StackError):
    """Jars are not in the cache and can't be downloaded."""


class Wanted(NamedTuple):
    """What is to be fetched."""

    what: str
    """In messages: Kafka's jars."""
    artifacts: Sequence[str]
    """group:name:version; what they depend on comes, too."""
    lock: Path
    """Lines of SHA-256 sum and name."""
    announced: str
    """What is said before it is fetched."""


def locked_jars(wanted: Wanted, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """The jars of the lock, each verified; fetches them if one is missing in the folder.

    Raises JarsUnreachable if they can't be had, StackError for one with another sum.
    """
    locked = {name: digest for digest, name in map(str.split, wanted.lock.read_text().splitlines())}
    if not all((folder / name).exists() for name in locked):
        say(wanted.announced)
        _fetch(wanted, folder, locked)
    for name, expected in locked.items():
        _verify(folder / name, expected, wanted.lock)
    return [folder / name for name in locked]


def _fetch(wanted: Wanted, folder: Path, locked: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder)
    except OSError as error:
        raise JarsUnreachable(f"{wanted.what} can't be kept in {folder}: {error.strerror}") from None
    with scratch as name:
        jars = _downloaded(wanted, Path(name))
        for jar, expected in locked.items():
            if jar not in jars:
                raise StackError(f"{jar} of {wanted.lock.name} is not among the jars of {', '.join(wanted.artifacts)}")
            _verify(jars[jar], expected, wanted.lock)
            part = Path(name) / f"{jar}.part"
            shutil.copyfile(jars[jar], part)
            part.replace(folder / jar)


def _downloaded(wanted: Wanted, scratch: Path) -> dict[str, Path]:
    try:
        import jgo

        logging.getLogger("jgo").setLevel(logging.ERROR)
        built = [jgo.build(artifact, cache_dir=scratch) for artifact in wanted.artifacts]
        return {jar.name: jar for environment in built for jar in environment.all_jars}
    except Exception as error:  # jgo raises whatever its parts raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise JarsUnreachable(f"{wanted.what} can't be fetched from Maven Central: {reason}") from None


def _verify(jar: Path, expected: str, lock: Path) -> None:
    with jar.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != expected:
            raise StackError(f"{jar}: its SHA-256 is not the one in {lock.name}; delete it to fetch it again")
