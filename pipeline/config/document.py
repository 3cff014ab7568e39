"""Checks the documents that people write (YAML, TOML, JSON) against a pydantic model; an error is one line.

The line names the key and the reason, and for an unknown key or name the nearest known one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import SettingsError

M = TypeVar("M", bound=BaseModel)
Schema = dict[str, Any]
_LIST, _MAPPING = "it is a list, as [a, b]", "it is a mapping (key: value)"
_PLAIN = {
    "missing": "it is missing",
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _MAPPING),
    "string_type": "it is a text: quote a text that looks like another type",
}
"""Pydantic's own texts are for people who write Python."""
_BYTES = '"<byte string>", '
"""PyYAML's name for a file that it did not open itself."""
_MERGE = "tag:yaml.org,2002:merge"


class StrictModel(BaseModel):
    """The base of what people write: an unknown key is an error, and the values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(NamedTuple):
    """The first problem of a document; `where` is blank if it concerns the whole document."""

    where: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


def load(path: Path, model: type[M]) -> M:
    """Reads a YAML file. Raises SettingsError that names the file, the key and the reason."""
    try:
        return parse(path.read_bytes(), path, model)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def parse(content: bytes, path: Path, model: type[M]) -> M:
    """The document in the YAML `content` of `path`. Raises as `load`."""
    try:
        values = yaml.load(content, _Loader)  # a SafeLoader
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: the file: it is a YAML mapping, with the keys {', '.join(model.model_fields)}")
        return model.model_validate(values)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {' '.join(str(error).replace(_BYTES, '').split())}") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error, model, values)}") from None


def first_problem(error: ValidationError, model: type[BaseModel], values: object) -> Problem:
    """`values` are those that `model` refused; None if the caller has them no longer."""
    errors, known = error.errors(include_url=False), _Known(model.model_json_schema())
    first = errors[0]
    if first["type"] == "missing":  # a required key may be there, misspelt
        unknown = (each for each in errors if each["type"] == "extra_forbidden" and each["loc"][:-1] == first["loc"][:-1])
        first = next((each for each in unknown if hint(str(each["loc"][-1]), known.at(each["loc"][:-1]).keys)), first)
    loc, kind = first["loc"], first["type"]
    if kind == "union_tag_not_found":
        key = _misspelt("type", first["input"])
        reason = f"unknown key{hint(key, ['type'])}" if key else f"it is missing: {_either(known.types(loc))}"
        return Problem(_where((*loc, key or "type"), values), reason)
    if kind == "union_tag_invalid":
        tag, types = first["ctx"]["tag"], known.types(loc)
        return Problem(_where((*loc, "type"), values), f"it is {_either(types)}, not {tag!r}{hint(tag, types)}")
    if kind == "extra_forbidden":
        return Problem(_where(loc, values), _unknown(str(loc[-1]), known.at(loc[:-1])))
    return Problem(_where(loc, values), _PLAIN.get(kind) or first["msg"].removeprefix("Value error, "))


def _misspelt(key: str, values: object) -> str:
    """The key of `values` most similar to this one; blank if none is similar."""
    near = get_close_matches(key, map(str, values) if isinstance(values, dict) else (), 1)
    return near[0] if near else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def hint(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'Acme'?`; blank if no known name is similar."""
    spelt = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), spelt, 1)
    return f", did you mean {spelt[near[0]]!r}?" if near else ""


def check_names(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError for a name that is not known, with the nearest known one."""
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: there is no {name!r}{hint(name, known)}")


class _Loader(yaml.SafeLoader):
    """A key that appears twice in one mapping is an error: the first one would have no effect."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _where(loc: Sequence[int | str], values: object) -> str:
    """`rules.2 (anger): window`: the entry of a list with its name, then the key inside it."""
    head, rest = list[str](), list[str]()
    for part in loc:
        if isinstance(values, dict) and part not in values and (part == values.get("type") or isinstance(part, int)):
            continue  # neither the tag of a union is a key, nor the place in a list of which people wrote the only entry
        target = rest if head and head[-1][:1].isdigit() else head
        target.append(str(part))
        values = _value_at(values, part)
        if isinstance(part, int) and target is head and isinstance(values, dict) and isinstance(values.get("name"), str):
            head[-1] += f" ({values['name']})"
    return ": ".join(".".join(parts) for parts in (head, rest) if parts)


def _value_at(values: object, part: int | str) -> object:
    if isinstance(values, dict):
        return values.get(part)
    return values[part] if isinstance(values, list) and isinstance(part, int) else None


class _Level(NamedTuple):
    """The keys that are allowed at one path of a document."""

    keys: set[str]
    elsewhere: set[str]
    """Keys of entries of other types."""
    type: str


def _unknown(key: str, level: _Level) -> str:
    if key in level.elsewhere:
        return f"type {level.type} takes no such key"
    return f"unknown key{hint(key, level.keys)}"


class _Known:
    """The keys that a JSON schema allows at each path."""

    def __init__(self, schema: Schema) -> None:
        self._root = schema

    def types(self, loc: Sequence[int | str]) -> list[str]:
        """The types of the union at this path, in the order of the model."""
        schemas = [self._root]
        for part in loc:
            schemas = [below for schema in schemas for each in self._variants(schema) for below in _below(each, part)]
        return [tag for schema in schemas for each in self._variants(schema) if (tag := _tag(each))]

    def at(self, loc: Sequence[int | str]) -> _Level:
        schemas, elsewhere, tag = [self._root], set[str](), ""
        for part in loc:
            variants = [each for schema in schemas for each in self._variants(schema)]
            tagged = [each for each in variants if _tag(each) == part]
            if tagged:
                tag, elsewhere = str(part), {key for each in variants for key in each.get("properties", {})}
                schemas = tagged
                continue
            elsewhere, schemas = set(), [below for each in variants for below in _below(each, part)]
        keys = {key for schema in schemas for each in self._variants(schema) for key in each.get("properties", {})}
        return _Level(keys, elsewhere - keys, tag)

    def _variants(self, schema: Schema) -> Iterator[Schema]:
        if "$ref" in schema:
            yield from self._variants(self._root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
            return
        for name in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(name, ()):
                yield from self._variants(each)
        yield schema


def _tag(schema: Schema) -> str:
    return str(schema.get("properties", {}).get("type", {}).get("const", ""))


def _below(schema: Schema, part: int | str) -> Iterator[Schema]:
    if isinstance(part, int):
        yield from (schema[name] for name in ("items", "additionalItems") if isinstance(schema.get(name), dict))
    elif part in schema.get("properties", {}):
        yield schema["properties"][part]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
