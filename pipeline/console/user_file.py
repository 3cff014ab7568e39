"""Writes people into users.yaml."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.config.document import first_problem, parse
from pipeline.console.people import HASHER, LONGEST_PASSWORD, SHORTEST_PASSWORD, User, Users
from pipeline.errors import SettingsError

_HEAD = (
    "# Who logs in to the console with a password (docs/console.md). A change counts at once, and ends their session.\nusers:\n"
)
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def add_user(path: Path, name: str, roles: Sequence[str], ask: Callable[[], str]) -> bool:
    """Adds a person with the password that `ask` gives, in place of one of that name; returns whether there was one.

    A new line is put behind the others, and the rest of the file stays as it is; where that can't be (a line is replaced, the
    file has another form), the file is written anew, without its comments. Raises SettingsError, and then writes nothing.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before = parse(text.encode(), path, Users).users if text.strip() else ()
    user = _checked(name, roles, _NOBODY)
    user = user.model_copy(update={"password": HASHER.hash(_strong(ask()))})
    after = (*(each for each in before if each.name != name), user)
    _write(path, _appended(text, user, Users(users=after), path) or _HEAD + "".join(map(_block, after)))
    return len(after) == len(before)


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


def _write(path: Path, text: str) -> None:
    """At once: the console never reads half a file. A new one is its owner's alone."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
