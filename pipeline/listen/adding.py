"""A new entry of sources.yaml, written behind those that are there: comments and order stay as they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, get_args, get_origin

import yaml
from pydantic import ValidationError

from pipeline.config.document import first_problem, problem_of
from pipeline.config.replaced import replace_file
from pipeline.config.values import values_of
from pipeline.errors import SettingsError
from pipeline.listen.credentials import named, place_of
from pipeline.listen.known_sources import MODELS
from pipeline.listen.sources_file import AnySource, Sources, parse_sources

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[1-9]\d{0,17}")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
"""YAML takes these for other things than texts."""
_NO_VARIABLE = "write the name of a variable, as X_TOKEN (capitals, digits, _), never the token itself"
_ENV = ("token_env", "wall_token_env", "client_secret_env")


class Added(NamedTuple):
    """The file as it would be."""

    source: AnySource
    entry: str
    before: bytes | None
    """What is there; None: no file."""
    after: str


def check_place(path: Path) -> None:
    """For before anything is asked or tried. Raises SettingsError where the file is wrong, or its folder takes none."""
    _known(_content(path), path)
    folder = path.resolve().parent
    if not folder.is_dir():
        raise SettingsError(f"{path}: there is no folder {folder}: make it first")
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"{path}: you may not write to folder {folder}")


def mistake(path: Path, key: str, values: Mapping[str, str]) -> str:
    """What is wrong with the value of this key of an entry that is not whole yet, and how to write it; blank: nothing."""
    if key in _ENV and not named(values[key], key).startswith("variable"):
        return _NO_VARIABLE
    if key == "name" and values[key] in {each.name for each in _known(_content(path), path)}:
        return f"{path} has a source {values[key]} already: take another name"
    content = values_of(f"sources:\n- {entry_of(values)}\n".encode())
    try:
        Sources.model_validate(content)
    except ValidationError as error:
        problem = problem_of(key, error, Sources, content)
        return problem.reason if problem else ""
    return ""


def added(path: Path, values: Mapping[str, str]) -> Added:
    """The file with one more source. Writes nothing. Raises SettingsError, for what is there as for what would be."""
    values = {key: value for key, value in values.items() if value}
    for key in _ENV:
        if (value := values.get(key)) and not named(value, key).startswith("variable"):
            # It may be the token, which never stands in the file, nor in an error.
            raise SettingsError(f"{key}: {_NO_VARIABLE}")
    if (file := values.get("token_file")) and not place_of(file, path.parent).is_file():
        raise SettingsError("token_file: write the path of a file that is there and holds the token, never the token itself")
    before = _content(path)
    known = _known(before, path)
    alone = _alone(values)
    entry = entry_of(values | _as_taken(values, alone))
    if alone.name in {each.name for each in known}:
        raise SettingsError(f"{path} has a source {alone.name} already: take another name")
    for after in _texts((before or b"").decode("utf-8"), entry):
        with suppress(SettingsError):
            if parse_sources(after.encode(), path).sources == (*known, alone):
                return Added(alone, entry, before, after)
    raise SettingsError(f"{path}: it is written in a way of its own: add this by hand: - {entry}")


def write(path: Path, new: Added) -> None:
    """The file as it would be. Raises SettingsError, also if somebody has written to it meanwhile: then it stays as it is."""
    if _content(path) != new.before:
        raise SettingsError(f"{path}: it was changed meanwhile, and nothing was written: try again")
    replace_file(path, new.after, 0o644)


def _content(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start + 1} is no UTF-8: save the file as UTF-8") from None
    return content


def _known(content: bytes | None, path: Path) -> tuple[AnySource, ...]:
    """The sources that are there: none in a file that only begins, as with comments or with `sources:` alone."""
    with suppress(yaml.YAMLError, RecursionError):  # parse_sources says what is wrong
        if values_of(content or b"") in (None, {"sources": None}):
            return ()
    return parse_sources(content or b"", path).sources


def _alone(values: Mapping[str, str]) -> AnySource:
    """The source by itself. Raises SettingsError: one line with the key and how to write it."""
    content = values_of(f"sources:\n- {entry_of(values)}\n".encode())
    try:
        source: AnySource = Sources.model_validate(content).sources[0]
        return source
    except ValidationError as error:
        where, reason = first_problem(error, Sources, content)
        key = where.partition(": ")[2]
        raise SettingsError(f"{key}: {reason}" if key else reason) from None


def _as_taken(values: Mapping[str, str], source: AnySource) -> dict[str, str]:
    """Texts and numbers as the source has them: without what was pasted around an id."""
    taken = ((key, getattr(source, key)) for key in values)
    taken = ((key, ",".join(map(str, value)) if isinstance(value, tuple) else value) for key, value in taken)
    return {key: str(value) for key, value in taken if isinstance(value, (str, int)) and not isinstance(value, bool)}


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
    end = "\r\n" if "\r\n" in text else "\n"
    whole = text if not text or text.endswith("\n") else text + end
    node = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    if node is None or node.tag.endswith(":null"):  # nothing, or comments alone
        return [f"{whole if text.strip() else ''}sources:{end}  - {entry}{end}"]
    lists = [value for key, value in node.value if key.value == "sources"] if isinstance(node, yaml.MappingNode) else []
    if lists and isinstance(lists[0], yaml.ScalarNode):
        return [f"{whole}  - {entry}{end}"]
    if not lists or not isinstance(lists[0], yaml.SequenceNode):
        return []
    found, offset = lists[0], len(text) - len(text.removeprefix("\ufeff"))
    if not found.flow_style:
        return [f"{whole}{' ' * found.start_mark.column}- {entry}{end}"]
    place = found.end_mark.index - 1 + offset
    return [f"{text[:place]}{comma}{entry}{text[place:]}" for comma in (", ", "", " ")]
