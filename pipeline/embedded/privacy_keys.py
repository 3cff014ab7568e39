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
from pipeline.embedded.secret import FOLDER, make_secret, read_secret, write_secret

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


def next_key(data_dir: Path, name: Name) -> None:
    """Makes the folder's next key: it is the newest from then on, and the one of before lies beside it. Who is killed in
    between has changed nothing, and does it again."""
    newest, older = read_secret(data_dir, name), older_keys(data_dir, name)
    if newest:
        numbers = [number for number, path in older_files(data_dir, name).items() if path.read_text() in older]
        write_secret(data_dir / FOLDER / f"{name}.{max(numbers, default=0) + 1}", newest)
    write_secret(data_dir / FOLDER / name, secrets.token_hex(32))


def of_folder(settings: Settings, name: Name) -> bool:
    """Whether the keys of this name are those of the data folder: nobody set others."""
    known = _known(settings, settings.privacy.hash_keys if name == "hash_key" else settings.privacy.data_keys)
    return bool(known) and known.newest == read_secret(settings.embedded.data_dir, name)


def _known(settings: Settings, given: _Keys) -> _Keys:
    """The file that `earshot up` wrote for its children has the keys of its start: the folder may have newer ones."""
    folder = settings.embedded.data_dir
    if not asks_embedded(settings) or not (newest := read_secret(folder, given.name)):
        return given
    own = type(given)((*older_keys(folder, given.name), newest))
    return own if set(given.all) <= set(own.all) else given
