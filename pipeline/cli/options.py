"""Shared by the commands: the settings with the command's options, and options that are times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import typer

from pipeline.config.load import load
from pipeline.config.settings import EmbeddedSettings, Settings
from pipeline.embedded.password import with_password
from pipeline.errors import SettingsError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Format(StrEnum):
    """Of an answer."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


def load_settings(context: typer.Context, data_dir: Path | None = None, broker: str | None = None) -> Settings:
    """The settings of `--config`, with the given options and the embedded ClickHouse's password.

    Raises SettingsError.
    """
    settings = load(context.obj)
    given = {"data_dir": data_dir.absolute() if data_dir else None, "broker": broker}
    if broker not in (None, "auto", "kafka", "light"):
        raise SettingsError(f"--broker {broker}: it is one of auto, kafka, light")
    embedded = EmbeddedSettings(**{**settings.embedded.model_dump(), **{k: v for k, v in given.items() if v is not None}})
    return with_password(settings.model_copy(update={"embedded": embedded}))


def refuse(context: typer.Context, why: str, *options: str) -> None:
    """Raises SettingsError if one of these options was given: with the other ones it has no effect."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and (given := set(options).intersection(parameter.opts)):
            raise SettingsError(f"{min(given)} {why}")


def time_of(option: str, text: str | None) -> datetime | None:
    """The option's time; UTC if it names no zone. Raises SettingsError."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text}: it should look like 2026-11-01 or 2026-11-01T10:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def duration_of(option: str, text: str) -> timedelta:
    """The option's duration: 90s, 10m, 4h or 1d. Raises SettingsError."""
    if not (match := re.fullmatch(r"(\d{1,6})\s*([smhd])", text.strip())):
        raise SettingsError(f"{option} {text}: it should look like 90s, 10m, 4h or 1d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def moment_of(option: str, text: str | None) -> datetime | None:
    """The option's time: a duration ago (2h), or a time as for `time_of`. Raises SettingsError."""
    if text is not None and re.fullmatch(r"\d+\s*[smhd]", text.strip()):
        return datetime.now(UTC) - duration_of(option, text)
    return time_of(option, text)


def parse_rate(text: str) -> float | None:
    """Events a second; None for max. Raises SettingsError."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise SettingsError(f"--rate {text}: it is a number of events a second, or max")
    return rate
