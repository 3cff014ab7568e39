"""The settings of the processes that `earshot up` runs, made from the given ones, and the file that passes them on.

It takes [embedded], ports, brands, rules, models, [outgoing] (this machine's way out) and every key that is not an address,
host or credential. So it can run with the settings file of a production and touches nothing of it.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel, SecretStr

from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.console import ConsoleSettings
from pipeline.config.section import Section
from pipeline.config.settings import ENV_PREFIX, KafkaSettings, Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.password import password_of, with_password
from pipeline.embedded.privacy_keys import make_keys
from pipeline.embedded.secret import FOLDER, write_secret
from pipeline.embedded.stack import Stack
from pipeline.embedded.token import Api, actor, make_console_token, make_token

NAME = "settings.toml"
_HERE = "127.0.0.1"
_OF_KAFKA = ("group", "topic_prefix", "partitions", "retention_ms", "retention_bytes")
_ADDRESSES = ("kafka", "clickhouse", "worker", "control", "customers", "listen", "console")
"""The sections that may hold addresses of another installation."""


def own_settings(settings: Settings, stack: Stack) -> Settings:
    """The settings for this stack; the folder's tokens belong to the user who runs it. Port 0 becomes a free port: `up` and
    the commands in other terminals ask there."""
    folder, given = stack.data_dir, settings.kafka
    kafka = KafkaSettings(bootstrap=stack.bootstrap, **{name: getattr(given, name) for name in _OF_KAFKA})
    return settings.model_copy(
        update={
            "kafka": kafka,
            "clickhouse": stack.clickhouse,
            "worker": settings.worker.model_copy(
                update={"health_host": _HERE, "health_port": settings.worker.health_port or free_port()}
            ),
            "listen": settings.listen.model_copy(update={"host": _HERE, "port": settings.listen.port or free_port()}),
            "control": ControlSettings(port=settings.control.port or free_port(), **_tokens(folder, "control")),
            "customers": CustomersSettings(port=settings.customers.port or free_port(), **_tokens(folder, "customers")),
            "console": _console(settings.console, folder),
            "privacy": settings.privacy.model_copy(update=_keys(settings, folder)),
        }
    )


def _keys(settings: Settings, folder: Path) -> dict[str, object]:
    """Of each of the two keys the given ones, else the folder's."""
    updated: dict[str, object] = {}
    for keys in (settings.privacy.hash_keys, settings.privacy.data_keys):
        if not keys:
            *older, newest = map(SecretStr, make_keys(folder, keys.name))
            updated |= {keys.name: newest, f"older_{keys.name}s": tuple(older)}
    return updated


class _Tokens(TypedDict):
    tokens: dict[str, SecretStr]
    console_token: SecretStr


def _tokens(folder: Path, api: Api) -> _Tokens:
    return {
        "tokens": {actor(): SecretStr(make_token(folder, api))},
        "console_token": SecretStr(make_console_token(folder, api)),
    }


def _console(given: ConsoleSettings, folder: Path) -> ConsoleSettings:
    """On this machine alone, with the folder's ClickHouse; people and how long they stay are the given ones."""
    return ConsoleSettings(
        port=given.port or free_port(),
        users=given.users,
        idle_hours=given.idle_hours,
        clickhouse_password=password_of(folder, "console"),
    )


def ignored(given: Settings, own: Settings) -> list[str]:
    """The given keys that `up` does not use."""
    default = Settings.model_construct()

    def keys(section: str) -> Iterator[str]:
        for name in type(getattr(given, section)).model_fields:
            value, used, unset = (getattr(getattr(settings, section), name) for settings in (given, own, default))
            if value not in (used, unset) and not (name.endswith("port") and value == 0):
                yield f"{section}.{name}"

    return [key for section in _ADDRESSES for key in keys(section)]


def write_settings(settings: Settings, data_dir: Path) -> Path:
    """Writes the settings as a TOML file, for EARSHOT_CONFIG of a child or a terminal; only its owner can read it."""
    path = data_dir / FOLDER / NAME
    write_secret(path, "".join(_lines(settings)))
    return path


def pointer(given: Settings, config: Path) -> str:
    """The shell command that makes commands in another terminal reach this stack; blank if the defaults do.

    The file has all settings, but variables win over it: the command unsets those of another installation.
    """
    default = Settings.model_construct()
    if given in (default, with_password(default)):  # at a folder's first start there is no password yet
        return ""
    prefixes = tuple(f"{ENV_PREFIX}{section.upper()}__" for section in (*_ADDRESSES, "embedded"))
    over = " ".join(sorted(name for name in os.environ if name.upper().startswith(prefixes)))
    return (f"unset {over}; " if over else "") + f"export EARSHOT_CONFIG={shlex.quote(str(config.absolute()))}"


def _lines(model: BaseModel) -> Iterator[str]:
    sections: list[tuple[str, Section]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Section):
            sections.append((name, value))
        elif value is not None:
            yield f"{name} = {_toml(value)}\n"
    for name, section in sections:
        yield f"\n[{name}]\n"
        yield from _lines(section)


def _toml(value: object) -> str:
    if isinstance(value, SecretStr):
        return _toml(value.get_secret_value())
    if isinstance(value, Path):
        return _toml(str(value.absolute()))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):  # JSON's strings are TOML's, but for this one character
        value = str(Path(value).absolute()) if value.startswith(("./", "../")) else value
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
