"""Writes people into users.yaml."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.config.document import first_problem, parse
from pipeline.config.replaced import replace_file
from pipeline.console.people import HASHER, LONGEST_PASSWORD, SHORTEST_PASSWORD, User, Users
from pipeline.errors import SettingsError

_HEAD = (
    "# Who logs in to the console with a password (docs/console.md). A change counts at once, and ends their session.\nusers:\n"
)
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def add_user(path: Path, name: str, roles: Sequence[str], ask: Callable[[], str]) -> bool:
    """Adds a person with the password that `ask` gives, in place of one of that name; returns whether there was one.

    A new line is put behind the others, and the rest of the file stays as it is; where that can't be (a line is replaced, the
    file has another form), the file is written anew, without its comments. Of several at once each adds its person: the file
    is read again behind a lock, after the password. Raises SettingsError, and then writes nothing.
    """
    _, there = _read(path)
    _check_case(name, there)
    user = _checked(name, roles, _NOBODY)
    user = user.model_copy(update={"password": HASHER.hash(_strong(ask()))})
    with _alone(path):
        text, before = _read(path)
        _check_case(name, before)
        after = (*(each for each in before if each.name != name), user)
        replace_file(path, _appended(text, user, Users(users=after), path) or _HEAD + "".join(map(_block, after)))
    return len(after) == len(before)


def _check_case(name: str, users: Sequence[User]) -> None:
    for each in users:
        if each.name != name and each.name.casefold() == name.casefold():
            raise SettingsError(
                f"{each.name} is there: a name that differs by upper and lower case alone would be taken for it"
            )


def _read(path: Path) -> tuple[str, tuple[User, ...]]:
    """The text and its users; none: there is no file."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    return text, parse(text.encode(), path, Users).users if text.strip() else ()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One at a time, of all who write files in this folder: it is the folder that is locked, as the file is replaced."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _checked(name: str, roles: Sequence[str], password: str) -> User:
    values = {"name": name, "roles": list(roles), "password": password}
    try:
        return User.model_validate(values)
    except ValidationError as error:
        raise SettingsError(str(first_problem(error, User, values))) from None


def _strong(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise SettingsError(f"a password has {SHORTEST_PASSWORD} characters or more, {LONGEST_PASSWORD:,} at most")
    return password


def _block(user: User) -> str:
    values = {"name": user.name, "roles": [str(role) for role in user.roles], "password": user.password}
    return yaml.safe_dump([values], sort_keys=False, width=1_000, default_flow_style=None)


def _appended(text: str, user: User, wanted: Users, path: Path) -> str:
    """The text with one more line; blank if that says something else than `wanted`."""
    longer = (text.rstrip() + "\n" if text.strip() else _HEAD) + _block(user)
    try:
        return longer if parse(longer.encode(), path, Users) == wanted else ""
    except SettingsError:
        return ""
