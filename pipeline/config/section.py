"""Section: what the sections of the settings have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import field_validator

from pipeline.config.document import StrictModel


def expand_home(value: object) -> object:
    """A path without `~`; any other value as it is."""
    return Path(os.path.expanduser(value)) if isinstance(value, Path) else value


class Section(StrictModel):
    """A table of the settings file: an unknown key is an error, and `~` in a path is the home folder."""

    _home = field_validator("*")(expand_home)


def refuse(section: Section, names: Iterable[str], where: str) -> None:
    """Raises ValueError for a key of these that is set: it has no effect with the setting `where`."""
    for name in names:
        if getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{name} does nothing with {where}")
