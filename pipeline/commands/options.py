"""What the commands share: the settings, with the command's own options on top."""

from __future__ import annotations

from pathlib import Path

import typer

from pipeline.errors import SettingsError
from pipeline.settings import EmbeddedSettings, Settings, load


def load_settings(context: typer.Context, data_dir: Path | None = None, broker: str | None = None) -> Settings:
    """The settings of `--config`; an option that is given wins. Raises SettingsError."""
    settings = load(context.obj)
    given = {"data_dir": data_dir.absolute() if data_dir else None, "broker": broker}
    if broker not in (None, "auto", "kafka", "light"):
        raise SettingsError(f"--broker {broker}: it is one of auto, kafka, light")
    embedded = EmbeddedSettings(**{**settings.embedded.model_dump(), **{k: v for k, v in given.items() if v is not None}})
    return settings.model_copy(update={"embedded": embedded})
