"""A data folder's tokens for the APIs of its `earshot control` and `earshot customers`: made once, for the person who runs
`earshot up`."""

from __future__ import annotations

import getpass
import secrets
from pathlib import Path
from typing import Literal

from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.settings import Settings
from pipeline.embedded.secret import make_secret, read_secret
from pipeline.http.same_origin import is_loopback

Api = Literal["control", "customers"]
"""A process with an API, and its section of the settings."""
NAMES: dict[Api, str] = {"control": "control_token", "customers": "customers_token"}
"""The file of each token."""
CONSOLES: dict[Api, str] = {"control": "control_console_token", "customers": "customers_console_token"}
"""The files of the tokens with which the console asks."""


def make_token(data_dir: Path, api: Api) -> str:
    """The folder's token for this API; makes it if there is none."""
    return make_secret(data_dir, NAMES[api], lambda: secrets.token_urlsafe(24))


def make_console_token(data_dir: Path, api: Api) -> str:
    """The token with which the folder's console asks this API; makes it if there is none."""
    return make_secret(data_dir, CONSOLES[api], lambda: secrets.token_urlsafe(24))


def console_token_of(settings: Settings, api: Api) -> str:
    """As `token_of`, of the token with which the console asks."""
    section: ControlSettings | CustomersSettings = getattr(settings, api)
    if token := section.console_token.get_secret_value():
        return token
    return read_secret(settings.embedded.data_dir, CONSOLES[api]) if is_loopback(section.host) else ""


def token_of(settings: Settings, api: Api) -> str:
    """The token of the settings, else the folder's if the API is on this machine; empty if there is none."""
    section: ControlSettings | CustomersSettings = getattr(settings, api)
    if token := section.token.get_secret_value():
        return token
    return read_secret(settings.embedded.data_dir, NAMES[api]) if is_loopback(section.host) else ""


def actor() -> str:
    """The name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "operator"
