"""The generated parts of docs/sources.md: keys, from the models of sources.yaml; what is mapped, from the mappers' docstrings.

A part is between `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.listen.known_sources import MODELS, said_of
from pipeline.listen.source import Source
from pipeline.listen.sources_file import OAuth

PAGE = Path(__file__).parent.parent / "docs" / "sources.md"
_PART = re.compile(r"(<!-- made: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
KINDS: dict[object, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true, false",
    Path: "path",
    timedelta: "time, as 30s, 5m, 2h, 7d",
}


def sources_page(page: str) -> str:
    """The page with each generated part as it should be."""
    return _PART.sub(lambda part: f"{part[1]}{_made(part[2])}{part[3]}", page)


def _made(name: str) -> str:
    what, _, platform = name.partition(":")
    if what == "mapped":
        return mapped(platform)
    model = OAuth if platform == "oauth" else MODELS[platform] if platform else Source
    return keys(model)


def keys(model: type[BaseModel]) -> str:
    """A table of the keys; of a platform, those that it has beside the keys of every source."""
    said = said_of(model)
    rows = ["| key | type | default | |\n|---|---|---|---|\n"]
    for key, field in model.model_fields.items():
        if key == "platform" or (model not in (Source, OAuth) and key in Source.model_fields and key not in said):
            continue
        rows.append(f"| `{key}` | {_kind(field.annotation)} | {_default(field)} | {said.get(key, '')} |\n")
    return "".join(rows)


def mapped(platform: str) -> str:
    """What follows the first line of the mapper's docstring."""
    says = inspect.cleandoc(import_module(f"pipeline.sources.platforms.{platform}").__doc__ or "")
    return says[says.index("\n| ") + 1 :].strip() + "\n"


def _kind(annotation: object) -> str:
    arguments = [each for each in get_args(annotation) if each not in (type(None), ...)]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (Annotated, Union, UnionType):
        return _kind(arguments[0])
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a mapping, see below"
    return KINDS[annotation]


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds() / 60:g}m`" if value else "none"
    return f"`{value}`" if value not in (None, "", ()) else ""
