"""Files that people and programs write, replaced as a whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pipeline.errors import SettingsError


def replace_file(path: Path, text: str, mode: int = 0o600) -> None:
    """At once, and for good: nobody ever reads half a file, nor is there one after a power cut. Who owns the file keeps it, if
    this user may give it to them; a new one gets `mode`. A link stays one. Raises SettingsError."""
    path = path.resolve()
    part = path.with_name(f".{path.name}.part")
    try:
        old = path.stat() if path.exists() else None
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w", encoding="utf-8", newline="") as file:
            if old is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), old.st_mode & 0o777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
