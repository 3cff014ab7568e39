"""A data folder's passwords for users `default` and `console` of its ClickHouse: made once, passed to children of `up`, read by
commands."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.embedded.secret import FOLDER, make_secret, read_secret

User = Literal["default", "console"]
NAMES: dict[User, str] = {"default": "clickhouse_password", "console": "console_password"}
"""The file of each password."""


def make_password(data_dir: Path, user: User = "default") -> Path:
    """The file with the password of the folder for this user; makes it when there is none."""
    make_secret(data_dir, NAMES[user], lambda: secrets.token_urlsafe(24))
    return data_dir / FOLDER / NAMES[user]


def password_of(data_dir: Path, user: User = "default") -> SecretStr:
    """The folder's password for this user; empty if there is none."""
    return SecretStr(read_secret(data_dir, NAMES[user]))


def with_password(settings: Settings) -> Settings:
    """With the folder's passwords where the settings ask the embedded ClickHouse as `default` or `console` and have none."""
    if not asks_embedded(settings):
        return settings
    asked, console, folder = settings.clickhouse, settings.console, settings.embedded.data_dir
    if asked.user == "default" and not asked.password.get_secret_value():
        asked = asked.model_copy(update={"password": password_of(folder)})
    if console.clickhouse_user == "console" and not console.clickhouse_password.get_secret_value():
        console = console.model_copy(update={"clickhouse_password": password_of(folder, "console")})
    return settings.model_copy(update={"clickhouse": asked, "console": console})


def asks_embedded(settings: Settings) -> bool:
    """Whether `clickhouse.url` is where `earshot up` with these settings has its ClickHouse."""
    url = urlsplit(settings.clickhouse.url)
    here = url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost") and url.path in ("", "/")
    return here and (url.port or 80) == settings.embedded.clickhouse_port
