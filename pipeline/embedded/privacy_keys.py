"""A data folder's keys, each made once: no other recognises a known person, or reads CRM records again.

`secrets/hash_key` is the one in force; those before it lie beside it as hash_key.1, hash_key.2, the first one first. The same
of data_key.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TypeVar

from pipeline.config.keys import DataKeys, HashKeys, Keys, Name
from pipeline.config.settings import Settings
from pipeline.embedded.password import asks_embedded
from pipeline.embedded.secret import FOLDER, make_secret, read_secret

_Keys = TypeVar("_Keys", bound=Keys)


def make_keys(data_dir: Path, name: Name) -> tuple[str, ...]:
    """The folder's keys of this name, oldest first; makes the first one when there is none."""
    newest = make_secret(data_dir, name, lambda: secrets.token_hex(32))
    return (*older_keys(data_dir, name), newest)


def older_keys(data_dir: Path, name: Name) -> tuple[str, ...]:
    """Those before the one in force, oldest first. One that was to be replaced when the program was killed is in force."""
    keys = [path.read_text() for _, path in sorted(older_files(data_dir, name).items())]
    return tuple(key for key in keys if key != read_secret(data_dir, name))


def older_files(data_dir: Path, name: Name) -> dict[int, Path]:
    """By number."""
    files = [(re.fullmatch(rf"{name}\.(\d+)", path.name), path) for path in (data_dir / FOLDER).glob(f"{name}.*")]
    return {int(match[1]): path for match, path in files if match}


def hash_keys(settings: Settings) -> HashKeys:
    """The keys of the settings, else the folder's when ClickHouse is the embedded one; none when there are none."""
    return _known(settings, settings.privacy.hash_keys)


def data_keys(settings: Settings) -> DataKeys:
    """The same of the other key."""
    return _known(settings, settings.privacy.data_keys)


def _known(settings: Settings, given: _Keys) -> _Keys:
    folder = settings.embedded.data_dir
    if given or not asks_embedded(settings) or not (newest := read_secret(folder, given.name)):
        return given
    return type(given)((*older_keys(folder, given.name), newest))
