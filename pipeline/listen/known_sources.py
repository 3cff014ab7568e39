"""What may stand in an entry of sources.yaml, by the models: for who writes one, and for the documentation."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from typing import cast, get_args

from pydantic import BaseModel

from pipeline.listen.source import Source
from pipeline.listen.sources_file import AnySource

MODELS: dict[str, type[Source]] = {
    get_args(model.model_fields["platform"].annotation)[0]: model for model in get_args(get_args(AnySource)[0])
}
"""By platform."""


def said_of(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings of the fields that the class itself names; blank where it says nothing."""
    file = import_module(model.__module__)
    (found,) = (
        node for node in ast.parse(inspect.getsource(file)).body
        if isinstance(node, ast.ClassDef) and node.name == model.__name__
    )  # fmt: skip
    said, last = dict[str, str](), ""
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            said[last] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
            said[last] = " ".join(str(node.value.value).split())
    return said


def asked_for(platform: str) -> dict[str, str]:
    """The keys of the platform for which a person is asked, without those of every source, each with how it is written, or
    else what is said of it."""
    model = MODELS[platform]
    said, forms = said_of(model), model.model_json_schema()["properties"]
    keys = [key for key, field in model.model_fields.items() if field.is_required()] + [*model.wanted]
    return {
        key: str(forms[key].get("as", "")) or said.get(key, "").rstrip(".")
        for key in keys if key not in ("name", "platform")
    }  # fmt: skip


def called() -> dict[str, str]:
    """The platform of each name that people give to one."""
    fields = {platform: model.model_fields["platform"].json_schema_extra for platform, model in MODELS.items()}
    others = {
        str(other): platform
        for platform, extra in fields.items() if isinstance(extra, dict)
        for other in cast(list[str], extra.get("called", []))
    }  # fmt: skip
    return {platform: platform for platform in MODELS} | others
