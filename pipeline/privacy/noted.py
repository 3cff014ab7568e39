"""Notes of erasures outside of ClickHouse (setting privacy.erasures_file): who loses the server knows all the same who was
erased since the last backup.

A line an erasure: its keys, as in table suppressions, and its receipt; it names nobody. It is on the disk before the erasure
begins, and the keys of events, as they are found, before they are suppressed.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.errors import EarshotError
from pipeline.privacy.whole_folder import flush
from schemas.erasures import Erasure, Keys


class Noted(NamedTuple):
    """What a file says, in its order."""

    erasures: dict[int, tuple[Erasure, Keys]]
    events: dict[int, list[int]]
    """Of an erasure; of 0: of what came since."""
    conversations: set[int]
    """In which nobody else but a brand said a word."""
    readmitted: set[int]
    """Erasures whose persons were readmitted."""


class Notes:
    """Adds to the file; None: there is none. Each raises EarshotError if its line is not on the disk."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def erasure(self, erasure: Erasure, keys: Keys) -> None:
        """Before it begins."""
        receipt = {"by": erasure.by, "why": erasure.why, "at": erasure.asked_at.isoformat()}
        of = {"accounts": _hex(keys.accounts), "values": list(keys.values), "handles": _hex(sorted(keys.handles))}
        self._append({"erasure": f"{erasure.id:016x}", **receipt, **of})

    def events(self, erasure: int, events: Sequence[int]) -> None:
        """Before they are suppressed."""
        self._append({"of": f"{erasure:016x}", "events": _hex(events)})

    def conversations(self, conversations: Sequence[int]) -> None:
        """Of an erasure, before what finds them is hidden."""
        self._append({"conversations": _hex(conversations)})

    def readmission(self, erasures: Sequence[int]) -> None:
        """Before the persons are readmitted."""
        self._append({"readmitted": _hex(erasures)})

    def _append(self, line: dict[str, object]) -> None:
        """In place of one that broke off."""
        if self._path is None:
            return
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if not os.fstat(file).st_size:  # it may be new: its name is in the folder
                    flush(self._path.absolute().parent)
                fcntl.flock(file, fcntl.LOCK_EX)  # two that mend one broken line would cut off each other's
                size, text = os.fstat(file).st_size, orjson.dumps(line) + b"\n"
                if size and os.pread(file, 1, size - 1) != b"\n":
                    os.ftruncate(file, os.pread(file, size, 0).rfind(b"\n") + 1)
                if os.write(file, text) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise EarshotError(f"{self._path}: {error.strerror}; nothing was begun (setting privacy.erasures_file)") from None


def read_notes(path: Path) -> Noted:
    """Raises EarshotError, with the line, for a file that can't be read or is none of ours. A last line that broke off is an
    erasure that was not begun."""
    noted = Noted({}, {}, set(), set())
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise EarshotError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            _take(noted, orjson.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EarshotError(f"{path}, line {number}: it is no note of an erasure") from None
    return noted


def _take(noted: Noted, line: dict[str, object]) -> None:
    match line:
        case {"readmitted": list(erasures)}:
            noted.readmitted.update(int(each, 16) for each in erasures)
        case {"conversations": list(conversations)}:
            noted.conversations.update(int(each, 16) for each in conversations)
        case {"of": str(id_), "events": list(events)}:
            noted.events.setdefault(int(id_, 16), []).extend(int(key, 16) for key in events)
        case {"erasure": str(id_), "accounts": list(accounts), "values": list(values), "handles": list(handles)}:
            hashes, of_handles = [str(value) for value in values], frozenset(int(key, 16) for key in handles)
            keys = Keys([int(key, 16) for key in accounts], hashes, handles=of_handles)
            at = datetime.fromisoformat(str(line["at"]))
            erasure = Erasure(
                str(line["by"]), str(line["why"]), at, accounts=len(accounts), addresses=len(values), id=int(id_, 16)
            )
            noted.erasures[erasure.id] = (erasure, keys)
        case _:
            raise ValueError


def _hex(keys: Sequence[int]) -> list[str]:
    return [f"{key:016x}" for key in keys]
