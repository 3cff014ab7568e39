"""The keys that a model allows at each path of a document, and the form of their values, by its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Level(NamedTuple):
    """The keys that are allowed at one path of a document."""

    keys: set[str]
    elsewhere: set[str]
    """Keys of entries of other types."""
    type: str
    """As `type spike`; blank: these are not the keys of a union's entry."""
    misnamed: dict[str, str]
    """Other names that people try for a key."""


class Known:
    """The keys that a JSON schema allows at each path."""

    def __init__(self, schema: Schema) -> None:
        self._root = schema

    def types(self, loc: Sequence[int | str]) -> list[str]:
        """The types of the union at this path, in the order of the model."""
        schemas = [self._root]
        for part in loc:
            schemas = [below for schema in schemas for each in self._variants(schema) for below in _below(each, part)]
        return [tag for schema in schemas for each in self._variants(schema) if (tag := _tag(each))]

    def called(self, loc: Sequence[int | str]) -> dict[str, str]:
        """Other names of the types of the union at this path."""
        variants = (each for schema in self._below_all(loc)[0] for each in self._variants(schema))
        tags = (each["properties"][name] for each in variants if (name := _tag_name(each)))
        return {other: str(tag["const"]) for tag in tags for other in tag.get("called", ())}

    def form(self, loc: Sequence[int | str]) -> Schema:
        """The schema of the field at this path."""
        return self._merged(self._below_all(loc)[0])

    def at(self, loc: Sequence[int | str]) -> Level:
        schemas, elsewhere, tag = self._below_all(loc)
        fields = {
            key: field
            for schema in schemas
            for each in self._variants(schema)
            for key, field in each.get("properties", {}).items()
        }
        misnamed = {other: key for key, field in fields.items() for other in self._merged([field]).get("misnamed", ())}
        return Level(set(fields), elsewhere - fields.keys(), tag, misnamed)

    def _merged(self, schemas: Sequence[Schema]) -> Schema:
        """All that the variants of these schemas say, but for a value that may be absent."""
        merged: Schema = {}
        for each in (each for schema in schemas for each in self._variants(schema) if each.get("type") != "null"):
            merged |= each
        return merged

    def _below_all(self, loc: Sequence[int | str]) -> tuple[list[Schema], set[str], str]:
        """The schemas at this path; keys of entries of other types, and the type, if it ends at a union's tag."""
        schemas, elsewhere, tag = [self._root], set[str](), ""
        for part in loc:
            variants = [each for schema in schemas for each in self._variants(schema)]
            tagged = [each for each in variants if _tag(each) == part]
            if tagged:
                tag, schemas = f"{_tag_name(tagged[0])} {part}", tagged
                elsewhere = {key for each in variants for key in each.get("properties", {})}
                continue
            elsewhere, schemas = set(), [below for each in variants for below in _below(each, part)]
        return schemas, elsewhere, tag

    def _variants(self, schema: Schema) -> Iterator[Schema]:
        if "$ref" in schema:
            yield from self._variants(self._root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
            return
        for name in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(name, ()):
                yield from self._variants(each)
        yield schema


TAGS = ("type", "platform")
"""The keys by which the entries of a list are told apart."""


def _tag(schema: Schema) -> str:
    name = _tag_name(schema)
    return str(schema["properties"][name]["const"]) if name else ""


def _tag_name(schema: Schema) -> str:
    return next((name for name in TAGS if "const" in schema.get("properties", {}).get(name, {})), "")


def _below(schema: Schema, part: int | str) -> Iterator[Schema]:
    if isinstance(part, int):
        yield from (schema[name] for name in ("items", "additionalItems") if isinstance(schema.get(name), dict))
    elif part in schema.get("properties", {}):
        yield schema["properties"][part]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
