"""Reads the settings, once: an unknown key in the file or the environment is an error.

Order, later wins: the defaults (config/settings.py), one TOML file (`--config`, else EARSHOT_CONFIG, else ./earshot.toml if it
exists), environment variables EARSHOT_<SECTION>__<KEY> (EARSHOT_KAFKA__BOOTSTRAP=broker:9092; an empty variable counts as not
set). A relative path in the file starts from the file's folder, one in the environment from the working directory.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError as UnreadableVariable

from pipeline.config.document import first_problem, hint
from pipeline.config.section import Section
from pipeline.config.settings import ENV_PREFIX, SentimentSettings, Settings
from pipeline.errors import SettingsError

NOT_SETTINGS = {"EARSHOT_CONFIG", "EARSHOT_DATA"}
"""Variables with the prefix that are not settings: the path of the TOML file, and the tests' recorded data."""


def load(config: Path | None = None) -> Settings:
    """Reads the settings.

    Raises SettingsError, naming the key and where it came from, for an unknown key or a wrong value.
    """
    named = os.environ.get("EARSHOT_CONFIG")
    path = config or (Path(named) if named else None)
    if path is None and Path("earshot.toml").exists():
        path = Path("earshot.toml")
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from None
        _anchor(values, Settings, path.parent)
    _check_environment()
    try:
        return Settings(**values)
    except UnreadableVariable as error:
        raise SettingsError(_unreadable() or f"the environment: {error}") from None
    except ValidationError as error:
        problem = first_problem(error, Settings, values)
        where = f"{path} or the environment" if path else "the environment"
        raise SettingsError(f"setting {problem.where} ({where}): {problem.reason}") from None


def _anchor(values: dict[str, object], model: type[BaseModel], folder: Path) -> None:
    """Makes the relative paths in `values` start from `folder`."""
    for name, field in model.model_fields.items():
        value = values.get(name)
        if isinstance(value, dict) and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            _anchor(value, field.annotation, folder)
        elif isinstance(value, str) and field.annotation in (Path, Path | None):
            values[name] = folder / os.path.expanduser(value)
    if model is SentimentSettings:
        _anchor_models(values, folder)


def _anchor_models(values: dict[str, object], folder: Path) -> None:
    def anchored(model: object) -> object:
        return str(folder / model) if isinstance(model, str) and model.startswith(("./", "../")) else model

    if "model" in values:
        values["model"] = anchored(values["model"])
    if isinstance(models := values.get("models"), dict):
        values["models"] = {language: anchored(model) for language, model in models.items()}


def _check_environment() -> None:
    known = dict(_variables(Settings, ENV_PREFIX))
    for name in os.environ:
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS and name.upper() not in known:
            table, _, _ = name.upper().rpartition("__")
            if get_origin(known.get(table)) is not dict:  # keys of the user's own may follow: EARSHOT_CONTROL__TOKENS__INES
                raise SettingsError(f"environment variable {name}: unknown key{_hint(name, known)}")


def _hint(name: str, known: Iterable[str]) -> str:
    """The known variable nearest to `name`, compared without the prefix that all of them share."""
    near = hint(name.upper().removeprefix(ENV_PREFIX), (each.removeprefix(ENV_PREFIX) for each in known))
    return near.replace("'", f"'{ENV_PREFIX}", 1)


def _unreadable() -> str:
    """An error for the first variable that must be JSON and is not; blank if there is none."""
    known = dict(_variables(Settings, ENV_PREFIX))
    for name, value in os.environ.items():
        kind = known.get(name.upper())
        section = isinstance(kind, type) and issubclass(kind, Section)
        if value and (section or get_origin(kind) in (dict, tuple)):
            try:
                json.loads(value)
            except ValueError:
                form = '["a", "b"]' if get_origin(kind) is tuple else '{"name": "value"}'
                return f"environment variable {name}: it is JSON, as {form}"
    return ""


def _variables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, object]]:
    """Every variable that is a setting, with the type of its value."""
    for name, field in model.model_fields.items():
        variable, kind = prefix + name.upper(), field.annotation
        yield variable, kind
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _variables(kind, f"{variable}__")
