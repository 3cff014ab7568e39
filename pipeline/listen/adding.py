"""A new entry of sources.yaml, written behind those that are there: comments and order stay as they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args, get_origin

import yaml

from pipeline.config.replaced import replace_file
from pipeline.errors import SettingsError
from pipeline.listen.credentials import named
from pipeline.listen.known_sources import MODELS
from pipeline.listen.sources_file import AnySource, Sources, parse_sources

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[1-9]\d{0,17}")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
"""YAML takes these for other things than texts."""
_ENV = ("token_env", "wall_token_env", "client_secret_env")


class Added(NamedTuple):
    """The file as it would be."""

    source: AnySource
    entry: str
    before: bytes | None
    """What is there; None: no file."""
    after: str


def added(path: Path, values: Mapping[str, str]) -> Added:
    """The file with one more source. Writes nothing. Raises SettingsError, for what is there as for what would be."""
    for key in _ENV:
        if (value := values.get(key)) and not named(value, key).startswith("variable"):
            # It may be the token, which never stands in the file, nor in an error.
            raise SettingsError(
                f"{key}: write the name of a variable, as X_TOKEN (capitals, digits, _), never the token itself"
            )
    if (file := values.get("token_file")) and not (path.parent / os.path.expanduser(file)).is_file():
        raise SettingsError("token_file: write the path of a file that is there and holds the token, never the token itself")
    before = path.read_bytes() if path.exists() else None
    known = parse_sources(before, path).sources if before and before.strip() else ()
    entry = entry_of(values)
    alone = parse_sources(f"sources:\n- {entry}\n".encode(), path).sources[0]  # its own mistakes, by its name
    for after in _texts((before or b"").decode("utf-8"), entry):
        try:
            found: Sources | None = parse_sources(after.encode(), path)
        except SettingsError:
            if alone.name in {each.name for each in known}:
                raise
            continue
        if found is not None and found.sources == (*known, alone):
            return Added(alone, entry, before, after)
    if alone.name in {each.name for each in known}:
        raise SettingsError(f"{path}: a source is named {alone.name} already")
    raise SettingsError(f"{path}: it is written in a way of its own: add this by hand: - {entry}")


def write(path: Path, new: Added) -> None:
    """The file as it would be. Raises SettingsError, also if somebody has written to it meanwhile: then it stays as it is."""
    if (path.read_bytes() if path.exists() else None) != new.before:
        raise SettingsError(f"{path}: it was changed meanwhile, and nothing was written: try again")
    replace_file(path, new.after, 0o644)


def entry_of(values: Mapping[str, str]) -> str:
    """The entry in one line. A value of a list is `a,b` or `[a, b]`."""
    model = MODELS.get(values.get("platform", ""))
    fields = model.model_fields if model else {}

    def written(key: str, value: str) -> str:
        if key in fields and get_origin(fields[key].annotation) is tuple:
            parts = value.strip().removeprefix("[").removesuffix("]").split(",")
            return f"[{', '.join(_scalar(part.strip()) for part in parts if part.strip())}]"
        kinds = (*get_args(fields[key].annotation), fields[key].annotation) if key in fields else ()
        is_text = not {bool, int, float}.intersection(kinds)
        return _scalar(value) if is_text or not re.fullmatch(r"true|false|[\d.]+", value) else value

    return "{" + ", ".join(f"{key}: {written(key, value)}" for key, value in values.items()) + "}"


def _scalar(value: str) -> str:
    if _PLAIN.fullmatch(value) and not value.isdigit() and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _texts(text: str, entry: str) -> list[str]:
    """The text with the entry, in the ways that may say so: behind a list in lines, or inside of one in brackets."""
    if not text.strip():
        return [f"sources:\n  - {entry}\n"]
    end = "\r\n" if "\r\n" in text else "\n"
    node = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    lists = [value for key, value in node.value if key.value == "sources"] if isinstance(node, yaml.MappingNode) else []
    if not lists or not isinstance(lists[0], yaml.SequenceNode):
        return []
    found, offset = lists[0], len(text) - len(text.removeprefix("\ufeff"))
    if not found.flow_style:
        whole = text if text.endswith("\n") else text + end
        return [f"{whole}{' ' * found.start_mark.column}- {entry}{end}"]
    place = found.end_mark.index - 1 + offset
    return [f"{text[:place]}{comma}{entry}{text[place:]}" for comma in (", ", "", " ")]
