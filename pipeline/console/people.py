"""users.yaml: who logs in with a password, and which roles they have.

    users:
      - name: ines
        roles: [ops, analyst]
        password: $argon2id$...       as `earshot console user add` writes it

It is read when it has changed. Where it is broken, the last good one stays, and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from typing import Annotated

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.config.document import StrictModel, hint, parse
from pipeline.console.roles import Role
from pipeline.errors import SettingsError

HASHER = PasswordHash((Argon2Hasher(),))
LONGEST_PASSWORD, SHORTEST_PASSWORD = 1_000, 12
UserName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"),
    Field(json_schema_extra={"as": "ines: letters, digits, . _ @ and -, at most 64"}),
]
log = logging.getLogger("earshot.console")


class User(StrictModel):
    """A line of users.yaml."""

    name: UserName
    roles: tuple[Role, ...] = Field(min_length=1)
    password: str = Field(json_schema_extra={"as": "$argon2id$...: `earshot console user add` writes it"})

    @field_validator("roles", mode="before")
    @classmethod
    def _known(cls, roles: object) -> object:
        names = [role.value for role in Role]
        for each in roles if isinstance(roles, list) else ():
            if isinstance(each, str) and each not in names:
                raise ValueError(f"there is no {each!r}{hint(each, names)}: {', '.join(names)}")
        return roles

    @field_validator("password")
    @classmethod
    def _hashed(cls, password: str) -> str:
        if not password.startswith("$argon2id$") or not Argon2Hasher.identify(password):
            raise ValueError("it is a hash of argon2id: `earshot console user add` writes it")
        return password

    @property
    def entry(self) -> str:
        """A fingerprint of the line: another role or password, and it is another one."""
        text = "\0".join([self.name, self.password, *sorted(self.roles)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Users(StrictModel):
    """users.yaml."""

    users: tuple[User, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Users:
        names = [user.name.casefold() for user in self.users]
        if twice := sorted({user.name for user in self.users if names.count(user.name.casefold()) > 1}):
            raise ValueError(f"{twice[0]} is there twice")
        return self


class People:
    """The users of a file; none without one. Raises SettingsError if it is wrong at the start."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._users: dict[str, User] = {}
        self._stamp: tuple[int, ...] | None = None
        if path is not None:
            self._stamp = self._now()
            self._users = self._read(path)

    @property
    def any(self) -> bool:
        """Whether anybody may log in with a password."""
        return bool(self.now())

    def now(self) -> dict[str, User]:
        """The users, by name, as the file says at this moment."""
        if self._path is not None and (stamp := self._now()) != self._stamp:
            self._stamp = stamp
            try:
                self._users = self._read(self._path)
                log.info("%s: %d users", self._path, len(self._users))
            except SettingsError as error:
                log.error("the last good users stay: %s", error)
        return self._users

    def stands(self, name: str, entry: str) -> bool:
        """Whether the user's line is the one with this fingerprint."""
        user = self.now().get(name)
        return user is not None and user.entry == entry

    def check(self, name: str, password: str) -> User | None:
        """The user with this password; None: there is none. It takes the time of a hash (50 ms) for an unknown name, too."""
        user, nobodys = self.now().get(name), _nobodys()
        if len(password) > LONGEST_PASSWORD:
            return None
        right = HASHER.verify(password, user.password if user else nobodys)
        return user if user is not None and right else None

    def _now(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None

    @staticmethod
    def _read(path: Path) -> dict[str, User]:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None
        return {user.name: user for user in parse(content, path, Users).users}


@cache
def _nobodys() -> str:
    """What the password of an unknown name is checked against."""
    return HASHER.hash("nobody has this password")
