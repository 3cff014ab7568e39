"""Reads a model's folder: its configuration, its languages and its identity."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.processors.sentiment import prepare
from schemas.untyped import JsonObject

BUNDLED = Path(__file__).parent / "models"


def read_config(folder: Path) -> JsonObject:
    """config.json of the folder. Raises SettingsError."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"model {folder}: config.json: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"model {folder}: config.json: {error}") from None
    if not isinstance(config, dict):
        raise SettingsError(f"model {folder}: config.json: it should be an object")
    return config


def languages(config: JsonObject) -> tuple[str, ...]:
    """The ISO 639 codes in the model's own files; empty if they name none."""
    said = config.get("languages") or []
    return tuple(str(code) for code in said)


def identity(name: str, files: list[Path]) -> str:
    """Name and hash of all that makes a label: `fast@0123456789ab`. The hash covers the content of the files and their names,
    not their folder, and the version of the preparation."""
    digest = hashlib.sha256(f"prepare {prepare.VERSION}\n".encode())
    for file in sorted(files, key=lambda file: file.name):
        digest.update(file.name.encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return f"{name}@{digest.hexdigest()[:12]}"
