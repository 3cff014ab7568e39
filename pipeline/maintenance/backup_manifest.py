"""What a backup says of itself: manifest.json, written last, so that a folder with it is whole.

A folder may come from anywhere: nothing of it is used before it is what a backup of ours can be.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.config.keys import Name
from pipeline.errors import EarshotError
from pipeline.privacy.register import TABLES
from pipeline.privacy.whole_folder import new_file

NAME, FORM = "manifest.json", 2
FIRST, LAST = ("alert_watermarks", "identity_marks"), ("leaders", "erasures", "suppressions")
"""Processes go on while it is written. Marks may be older than what they are of; terms must be as new as what names them, and
who was erased meanwhile must be known."""
_LARGEST = 1 << 20
"""Bytes of a manifest; it has some thousand."""
_STRICT = ConfigDict(strict=True, extra="forbid")
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
_Word = Annotated[str, Field(pattern=r"^[\w.+:-]{1,64}$")]


@dataclass(frozen=True, slots=True)
class File:
    """A table's file."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    table: str
    rows: _Count
    distinct: _Count
    """Rows by the key of the table: ClickHouse merges the others of a key away."""
    size: _Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def name(self) -> str:
        return f"{self.table}.parquet"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`migrations`: name -> checksum, as a string; `keys`: name -> fingerprints of its keys, the first one first."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    made_at: _Word
    earshot: _Word
    database: str
    migrations: dict[_Word, Annotated[str, Field(pattern="^[0-9]{1,20}$")]]
    keys: Mapping[Name, list[_Word]]
    files: list[File] = field(default_factory=list)
    server: Annotated[str, Field(pattern=r"^[\w-]{0,64}$")] = ""
    """ClickHouse's own backup of the other tables, on its disk `backups`; blank: none was made with it."""
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
        with open_file(folder / NAME) as file:
            text = file.read(_LARGEST)
        given = orjson.loads(text)
        if isinstance(given, dict) and isinstance(form := given.get("form"), int) and form != FORM:
            raise EarshotError(f"{folder} is a backup of form {form}, this program reads form {FORM}")
        manifest = TypeAdapter(Manifest).validate_json(text)
    except FileNotFoundError:
        missing = f"it has no {NAME}" if folder.is_dir() else "there is no such folder"
        raise EarshotError(f"{folder} is no whole backup: {missing}") from None
    except OSError as error:
        raise EarshotError(f"{folder / NAME}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise EarshotError(f"{folder / NAME} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError:
        raise EarshotError(f"{folder / NAME} is damaged") from None
    _check_tables(folder, manifest)
    return manifest


def open_file(path: Path) -> BinaryIO:
    """A file of a backup, which is no link and no device: those might never end. Raises OSError, EarshotError."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise EarshotError(f"{path} is no file")
    return file


def _check_tables(folder: Path, manifest: Manifest) -> None:
    """Their names become parts of paths and of SQL."""
    kept, named = kept_tables(), Counter(each.table for each in manifest.files)
    if wrong := [table for table in {*kept, *named} if table not in kept or named[table] != 1]:
        raise EarshotError(
            f"{folder / NAME} is damaged, or of another release (Earshot {manifest.earshot}): it names table "
            f"{sorted(wrong)[0]!r} {named[sorted(wrong)[0]]} times"
        )
