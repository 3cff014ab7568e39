"""A data folder's token for the control API of its `earshot control`: made once, for the person who runs `earshot up`."""

from __future__ import annotations

import getpass
import secrets
from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.embedded.secret import make_secret, read_secret
from pipeline.http.same_origin import is_loopback

NAME = "control_token"


def make_token(data_dir: Path) -> str:
    """The token of the folder; makes it if there is none."""
    return make_secret(data_dir, NAME, lambda: secrets.token_urlsafe(24))


def token_of(settings: Settings) -> str:
    """The token of the settings, else the folder's if control is on this machine; empty if there is none."""
    if token := settings.control.token.get_secret_value():
        return token
    return read_secret(settings.embedded.data_dir, NAME) if is_loopback(settings.control.host) else ""


def actor() -> str:
    """The name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "operator"
