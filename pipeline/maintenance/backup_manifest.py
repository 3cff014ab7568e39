"""What a backup says of itself: manifest.json, written last, so that a folder with it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from pipeline.config.keys import Name
from pipeline.errors import EarshotError
from pipeline.privacy.register import TABLES
from pipeline.privacy.whole_folder import new_file

NAME, FORM = "manifest.json", 1
FIRST, LAST = ("alert_watermarks", "identity_marks"), ("leaders", "erasures", "suppressions")
"""Processes go on while it is written. Marks may be older than what they are of; terms must be as new as what names them, and
who was erased meanwhile must be known."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A table's file."""

    table: str
    rows: int
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.table}.parquet"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`migrations`: name -> checksum, as a string; `keys`: name -> fingerprints of its keys, the first one first."""

    id: str
    made_at: str
    earshot: str
    database: str
    migrations: dict[str, str]
    keys: Mapping[Name, list[str]]
    files: list[File] = field(default_factory=list)
    form: int = FORM

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.files)


def kept_tables() -> list[str]:
    """The tables that a backup holds, in the order in which they are read."""
    kept = [place.name for place in TABLES.values() if place.backup == "kept"]
    return [*FIRST, *(name for name in kept if name not in (*FIRST, *LAST)), *LAST]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Raises OSError."""
    with os.fdopen(new_file(folder / NAME), "wb") as file:
        file.write(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2) + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises EarshotError for a folder that is no backup, not whole, or of another form."""
    try:
        given = orjson.loads((folder / NAME).read_bytes())
        if given["form"] != FORM:
            raise EarshotError(f"{folder} is a backup of form {given['form']}, this program reads form {FORM}")
        manifest = Manifest(**{**given, "files": [File(**each) for each in given["files"]]})
    except FileNotFoundError:
        raise EarshotError(f"{folder} is no whole backup: it has no {NAME}") from None
    except OSError as error:
        raise EarshotError(f"{folder / NAME}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise EarshotError(f"{folder / NAME} is damaged") from None
    if lacking := set(kept_tables()) - {each.table for each in manifest.files}:
        raise EarshotError(f"{folder / NAME} is damaged: it names no {sorted(lacking)[0]}")
    return manifest


def check_files(folder: Path, manifest: Manifest, advance: Callable[[int, int], None]) -> None:
    """Returns if each file is as it was written; `advance` hears of the bytes read, and of all. Raises EarshotError."""
    read, size = 0, sum(each.size for each in manifest.files)
    for each in manifest.files:
        digest = hashlib.sha256()
        try:
            with (folder / each.name).open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    advance(read := read + len(block), size)
        except OSError as error:
            raise EarshotError(f"{folder / each.name}: {error.strerror}; nothing was restored") from None
        if digest.hexdigest() != each.sha256:
            raise EarshotError(f"{folder / each.name} is damaged (its SHA-256 is another one); nothing was restored")
