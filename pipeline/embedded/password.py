"""A data folder's password for user `default` of its ClickHouse: made once, passed to children of `up`, read by commands."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipeline.config.settings import Settings
from pipeline.embedded.secret import FOLDER, make_secret, read_secret

NAME = "clickhouse_password"


def make_password(data_dir: Path) -> Path:
    """The file with the password of the folder; makes it when there is none."""
    make_secret(data_dir, NAME, lambda: secrets.token_urlsafe(24))
    return data_dir / FOLDER / NAME


def with_password(settings: Settings) -> Settings:
    """With the folder's password where the settings ask the embedded ClickHouse as `default` and have none."""
    asked = settings.clickhouse
    if asked.user != "default" or asked.password.get_secret_value() or not asks_embedded(settings):
        return settings
    password = SecretStr(read_secret(settings.embedded.data_dir, NAME))
    return settings.model_copy(update={"clickhouse": asked.model_copy(update={"password": password})})


def asks_embedded(settings: Settings) -> bool:
    """Whether `clickhouse.url` is where `earshot up` with these settings has its ClickHouse."""
    url = urlsplit(settings.clickhouse.url)
    here = url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost") and url.path in ("", "/")
    return here and (url.port or 80) == settings.embedded.clickhouse_port
