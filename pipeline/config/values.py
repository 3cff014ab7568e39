"""The values of a YAML document, read by libyaml: 10,000 brands in a third of PyYAML's time.

PyYAML's own code reads a document again that libyaml refuses, because its message is more exact. It also reads documents with
characters that the two read differently. No depth ends the process: libyaml allows 1,000 levels, PyYAML raises RecursionError.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

_MERGE, _TEXT, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("merge", "str", "int", "float"))
MOST_ALIASED = 100_000
"""Aliases may add so many values to a document: a few lines of aliases of aliases stand for billions."""
_READ_DIFFERENTLY = re.compile("\t|\x85|\u2028|\u2029|\ufeff".encode())


class _Strict(SafeConstructor, Resolver):
    """A key that appears twice in one mapping is an error: the first one would have no effect. 15:00 is a text, and not the
    900 that it was for YAML 1.1."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        return _TEXT if tag in (_INT, _FLOAT) and ":" in (value or "") else tag

    def construct_document(self, node: yaml.Node) -> Any:
        sizes = dict[int, int]()
        if _size(node, sizes) - len(sizes) > MOST_ALIASED:
            raise yaml.constructor.ConstructorError(
                None, None, f"aliases make over {MOST_ALIASED:,} values of it", node.start_mark
            )
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError):  # 30 February, a number of 5,000 digits
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"it is no {kind} that exists", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values the node has once its aliases are written out. `sizes`: those of the nodes below it."""
    known = sizes.get(id(node))
    if known == 0:
        raise yaml.constructor.ConstructorError(None, None, "an alias stands inside its own value", node.start_mark)
    if known is None:
        sizes[id(node)] = 0
        inside = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = (part for each in inside for part in (each if isinstance(each, tuple) else (each,)))
        known = sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return known


class _Own(_Strict, yaml.SafeLoader):
    """PyYAML's code."""


class _Fast(_Strict, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """libyaml's, which the wheels of PyYAML hold; one built without it has its own code only."""


def values_of(content: bytes) -> object:
    """The values of the only document in `content`. Raises yaml.YAMLError, and RecursionError if it nests too deep."""
    if _READ_DIFFERENTLY.search(content):
        return yaml.load(content, _Own)
    try:
        return yaml.load(content, _Fast)
    except (yaml.YAMLError, RecursionError):
        return yaml.load(content, _Own)
