"""The credentials that sources name: a variable of the environment, or a file. No error holds a part of one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pipeline.listen.source import Source
from pipeline.listen.sources_file import Email
from pipeline.listen.states import NoCredentials

LONGEST_TOKEN = 10_000
_SCHEME = re.compile(r"(bearer|basic|token) ", re.IGNORECASE)
_ASSIGNED = re.compile(r"(export )?[A-Z_][A-Z0-9_]*=[^=]")


def token_of(source: Source, environ: Mapping[str, str], folder: Path) -> SecretStr:
    """The credential that the source names; a blank one where it names none. A relative `token_file` starts from `folder`,
    that of sources.yaml. Raises NoCredentials."""
    if source.token_file is not None:
        where = f"token_file {source.token_file}"
        token = _read(place_of(source.token_file, folder), where)
    elif source.token_env:
        where = named(source.token_env, "token_env")
        token = variable(source.token_env, "token_env", environ)
    else:
        return SecretStr("")
    if source.is_key_file:
        wrong = "is empty" if not token else "is too long for a key" if len(token) > LONGEST_TOKEN else ""
    else:
        wrong = _mistake(token, is_password=isinstance(source, Email) and source.oauth is None)
    if wrong:
        raise NoCredentials(f"{where} {wrong}")
    return SecretStr(token)


def place_of(token_file: str | Path, folder: Path) -> Path:
    """Where the file is; `folder` is that of sources.yaml."""
    return folder / os.path.expanduser(token_file)


def variable(name: str, key: str, environ: Mapping[str, str]) -> str:
    """The value of a variable that a `key` of sources.yaml names. Raises NoCredentials where it has none."""
    token = environ.get(name, "").strip()
    if not token:
        wrong = "is empty" if name in environ else "is not set where Earshot runs"
        raise NoCredentials(f"{named(name, key)} {wrong}")
    return token


def named(name: str, key: str) -> str:
    """The variable in an error: by its name, unless that may be a token which somebody wrote in its place."""
    return f"variable {name}" if re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name) else f"the variable that {key} names"


def _read(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4 * LONGEST_TOKEN).decode("utf-8-sig").strip()
    except OSError as error:
        raise NoCredentials(f"{where} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoCredentials(f"{where} can't be read: no UTF-8") from None


def _mistake(token: str, *, is_password: bool) -> str:
    """What is wrong with it, by its form; blank: nothing. A password may hold any character of a line."""
    if not token:
        return "is empty"
    if len(token.splitlines()) > 1:
        return "has several lines: it should hold the token alone"
    if len(token) > LONGEST_TOKEN or not token.isprintable():
        return "holds no token"
    if is_password:
        return ""
    if _SCHEME.match(token):
        return f"begins with {token.partition(' ')[0]}: it should hold the token alone"
    if token[0] in "\"'" or token[-1] in "\"'":
        return "has quotes: it should hold the token alone"
    if _ASSIGNED.match(token):
        return "holds NAME=token: it should hold the token alone"
    return "has a space: it should hold the token alone" if " " in token else ""
