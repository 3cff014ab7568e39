"""The settings as environment variables, so that a child process loads the settings of its parent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from pipeline.config.load import NOT_SETTINGS
from pipeline.config.section import Section
from pipeline.config.settings import ENV_PREFIX, Settings


def variables(settings: Settings) -> dict[str, str]:
    """EARSHOT_<SECTION>__<KEY> for each setting that differs from its default; secrets in clear."""
    return dict(_variables(settings, ENV_PREFIX))


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with these settings instead of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX) or name in NOT_SETTINGS}
    return inherited | variables(settings)


def _variables(section: Section | Settings, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _variables(value, f"{prefix}{name.upper()}__")
        elif value is not None and value != field.get_default(call_default_factory=True):
            yield f"{prefix}{name.upper()}", _variable_text(value)


def _variable_text(value: object) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _plain(value: object) -> object:
    """The value as JSON."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
